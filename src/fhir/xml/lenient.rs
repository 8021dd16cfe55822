//! What is kept of a document that is read although it is no FHIR XML everywhere: what was passed over, and where.

/// How many slips are kept; what is beyond is passed over without being named.
pub const SLIPS_MAX: usize = 1_000;

/// Something that is not FHIR XML and was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlSlip {
    pub kind: XmlSlipKind,
    /// The byte where it begins.
    pub offset: usize,
    /// What it is named by: the steps of the markup for what FHIR does not have (`/f:Patient/f:name`), FHIRPath for what stands in a wrong place.
    pub place: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XmlSlipKind {
    UnknownElement {
        name: String,
    },
    UnknownAttribute {
        name: String,
    },
    Text,
    /// An element comes after one that it should stand before.
    OutOfOrder {
        name: String,
    },
    /// An element that does not repeat is there again; the first is kept.
    Repeated {
        name: String,
    },
    ProcessingInstruction,
    /// An element is not of the namespace that its name is of in FHIR; it was read all the same.
    Namespace {
        name: String,
    },
    /// An element has neither attributes nor content.
    Empty,
    /// The document says that it is in another encoding than UTF-8, and could be read as that.
    Encoding,
}

/// Where a reader is, in both notations, and the slips so far.
#[derive(Debug, Default)]
pub(super) struct Places {
    markup: String,
    element: String,
    pub slips: Vec<XmlSlip>,
}

/// The lengths to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    markup: usize,
    element: usize,
}

impl Places {
    pub fn add(&mut self, kind: XmlSlipKind, offset: usize) {
        let place = match &kind {
            XmlSlipKind::ProcessingInstruction => "(document)".to_owned(),
            XmlSlipKind::Encoding => "XML".to_owned(),
            XmlSlipKind::Namespace { name } => format!("{}/?:{name}", self.markup),
            XmlSlipKind::OutOfOrder { .. } | XmlSlipKind::Repeated { .. } => self.element.clone(),
            _ => self.markup.clone(),
        };
        if self.slips.len() < SLIPS_MAX {
            self.slips.push(XmlSlip { kind, offset, place });
        }
    }

    /// Enters a resource, and gives the markup to go back to. One within another begins its own; its elements are named from the outermost.
    pub fn enter_resource(&mut self, name: &str) -> String {
        let is_root = self.element.is_empty();
        if is_root {
            self.element.push_str(name);
        }
        std::mem::replace(&mut self.markup, if is_root { format!("/f:{name}") } else { name.to_owned() })
    }

    pub fn leave_resource(&mut self, markup: String) {
        self.markup = markup;
    }

    pub fn enter(&mut self, tag: &str, step: &str) -> Mark {
        let mark = self.mark();
        self.markup.push_str("/f:");
        self.markup.push_str(tag);
        self.element.push('.');
        self.element.push_str(step);
        mark
    }

    pub fn leave(&mut self, mark: Mark) {
        self.markup.truncate(mark.markup);
        self.element.truncate(mark.element);
    }

    fn mark(&self) -> Mark {
        Mark { markup: self.markup.len(), element: self.element.len() }
    }
}
