//! Writes JSON.

use super::super::node::{Member, Node, Value};

/// Writes without insignificant white space, members in their order.
pub fn write(node: &Node) -> String {
    let mut out = String::with_capacity(1024);
    Writer { out: &mut out, indent: None, sorted: false }.node(node);
    out
}

/// Writes with two-space indentation, for people.
pub fn write_pretty(node: &Node) -> String {
    let mut out = String::with_capacity(2048);
    Writer { out: &mut out, indent: Some(0), sorted: false }.node(node);
    out.push('\n');
    out
}

/// FHIR R4 canonical JSON (`http://hl7.org/fhir/canonicalization/json`): no insignificant white space, members sorted by name, numbers as written.
pub fn write_canonical(node: &Node) -> String {
    let mut out = String::with_capacity(1024);
    canonical_onto(&mut out, node);
    out
}

/// The same, after what is there already.
pub fn canonical_onto(out: &mut String, node: &Node) {
    Writer { out, indent: None, sorted: true }.node(node);
}

struct Writer<'a> {
    out: &'a mut String,
    indent: Option<usize>,
    sorted: bool,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Number(number) => self.out.push_str(number),
            Value::Text(text) => write_string(self.out, text),
            Value::List(items) => self.sequence('[', ']', items.iter(), Writer::node),
            Value::Object(object) if self.sorted => {
                let mut members: Vec<&Member> = object.members().iter().collect();
                members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                self.sequence('{', '}', members.into_iter(), Writer::member);
            }
            Value::Object(object) => self.sequence('{', '}', object.members().iter(), Writer::member),
        }
    }

    fn member(&mut self, member: &Member) {
        write_string(self.out, &member.name);
        self.out.push(':');
        if self.indent.is_some() {
            self.out.push(' ');
        }
        self.node(&member.node);
    }

    fn sequence<'n, T: 'n>(&mut self, open: char, close: char, items: impl ExactSizeIterator<Item = &'n T>, write: fn(&mut Self, &T)) {
        self.out.push(open);
        let empty = items.len() == 0;
        self.indent = self.indent.map(|depth| depth + 1);
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.new_line();
            write(self, item);
        }
        self.indent = self.indent.map(|depth| depth - 1);
        if !empty {
            self.new_line();
        }
        self.out.push(close);
    }

    fn new_line(&mut self) {
        if let Some(depth) = self.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut run = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x8 => "\\b",
            0xC => "\\f",
            0..=0x1F => "",
            _ => continue,
        };
        out.push_str(text.get(run..index).unwrap_or_default());
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
        run = index + 1;
    }
    out.push_str(text.get(run..).unwrap_or_default());
    out.push('"');
}
