//! Records looked at to find out what is meant by a name: each is read once for one answer, however many names may mean it.

use crate::fhir::Node;
use crate::outcome::Fault;
use crate::store::{Reader, StoredVersion};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// How many records are kept at once. Where more are looked at, they are read again.
const MAX_KEPT: usize = 1_000;

/// A version with what it says.
pub(in crate::query) struct Read {
    pub version: StoredVersion,
    pub resource: Node,
}

/// One reading of the store, and what was read in it.
pub(in crate::query) struct Reading<'r, 'c> {
    pub reader: &'r Reader<'c>,
    kept: RefCell<HashMap<i64, Rc<Read>>>,
}

impl<'r, 'c> Reading<'r, 'c> {
    pub fn of(reader: &'r Reader<'c>) -> Reading<'r, 'c> {
        Reading { reader, kept: RefCell::default() }
    }

    /// The versions of these places in the order of writing.
    pub fn at(&self, places: Vec<i64>) -> Result<Vec<Rc<Read>>, Fault> {
        places.into_iter().filter_map(|place| self.one_at(place).transpose()).collect()
    }

    fn one_at(&self, place: i64) -> Result<Option<Rc<Read>>, Fault> {
        if let Some(known) = self.kept.borrow().get(&place) {
            return Ok(Some(Rc::clone(known)));
        }
        let Some(version) = self.reader.version_at(place)? else { return Ok(None) };
        let resource = if version.deleted() { Node::from("") } else { version.parse()? };
        let read = Rc::new(Read { version, resource });
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(place, Rc::clone(&read));
        Ok(Some(read))
    }
}
