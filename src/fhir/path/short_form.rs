//! Short forms that published rules use and FHIRPath does not have.

use super::function::Function;
use super::syntax::{Call, ChildStep, Head, Step, TypeSpecifier, Variable};
use crate::fhir::types::TypeTable;

/// `%extension.valueInteger`, as R4's rules about where extensions may stand have it, is `%extension.value.ofType(integer)`. Every other step
/// is as it is written.
pub(super) fn in_full(types: &TypeTable, head: &Head, before: &[Step], step: Step) -> Vec<Step> {
    let is_of_extension = matches!(head, Head::Variable(Variable::Named(name)) if name == "extension") && before.is_empty();
    match &step {
        Step::Child(child) if is_of_extension => value_of_type(types, child).unwrap_or_else(|| vec![step]),
        _ => vec![step],
    }
}

fn value_of_type(types: &TypeTable, child: &ChildStep) -> Option<Vec<Step>> {
    let root = types.type_named("Extension")?.root;
    let used = types.member(root, &child.name).filter(|_| types.child_named(root, &child.name).is_none())?;
    let choice = types.element(used.element);
    let fhir = Some(choice.types.get(used.type_index)?.code.clone());
    let type_name = Some(TypeSpecifier { system: None, fhir, qualified: true });
    let of_type = Call { function: Function::OfType, arguments: Vec::new(), type_name, pattern: None };
    Some(vec![Step::Child(ChildStep::new(choice.name.clone())), Step::Call(of_type)])
}
