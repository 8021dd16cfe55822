//! What is said of a document that was not judged.

use super::inputs::{FILE_BYTES_MAX, Unreadable, VALUES_MAX};
use crate::outcome::{Finding, IssueType, Severity};
use crate::validate::reading;

/// A document that breaks off in its packing is one that cannot be read; any other failure is none of the document's.
pub fn unreadable(why: &Unreadable, is_xml: bool) -> Finding {
    if why.is_broken {
        return reading::unreadable(&why.problem, is_xml);
    }
    Finding::new(Severity::Fatal, IssueType::Exception, "DOCUMENT_NOT_READ", format!("The document cannot be read: {}", why.problem))
}

/// One that is longer than is read.
pub fn too_long() -> Finding {
    let text = format!("The document is longer than is read ({FILE_BYTES_MAX} bytes, {VALUES_MAX} values); it was not checked");
    Finding::new(Severity::Fatal, IssueType::TooLong, "DOCUMENT_TOO_LONG", text)
}

/// XML where there is only a JSON Schema. Which members of a list, and which kinds, an element of XML stands for is what definitions say, and a JSON Schema is about JSON.
pub fn shape_of_xml() -> Finding {
    let text = "XML cannot be judged by a JSON Schema; give the release's definitions (--package, or hearthgate package add), or the document in JSON";
    Finding::new(Severity::Error, IssueType::NotSupported, "SHAPE_NOT_OF_XML", text)
}
