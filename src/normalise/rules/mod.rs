//! One file per rule, in the published order. Each is a plain function on one element.

pub(super) mod bundled_patients;
pub(super) mod bytes;
pub(super) mod code_sanity;
pub(super) mod coding_systems;
pub(super) mod comparators;
pub(super) mod contained;
pub(super) mod dates;
pub(super) mod decimals;
pub(super) mod empties;
pub(super) mod extensions;
pub(super) mod free_text_codes;
pub(super) mod identifier_systems;
pub(super) mod local_codes;
pub(super) mod meta;
pub(super) mod narrative;
pub(super) mod numeric_text;
pub(super) mod primary_coding;
pub(super) mod profile_fill;
pub(super) mod references;
pub(super) mod resource_ids;
pub(super) mod sentinels;
pub(super) mod status;
pub(super) mod strings;
pub(super) mod unit_context;
pub(super) mod units;
