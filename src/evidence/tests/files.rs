//! Files that are changed, that are too many, and of formats before.

use super::*;

/// The same files with one changed, the manifest put right where `honest`.
fn with_file(log: &Log, name: &str, bytes: Option<&[u8]>, honest: bool) -> Vec<u8> {
    let mut files = unpack(&log.package().into_zip().unwrap(), MAX_UNPACKED_BYTES).unwrap();
    match bytes {
        Some(bytes) => drop(files.insert(name.to_owned(), bytes.to_vec())),
        None => drop(files.remove(name)),
    }
    if honest {
        let mut manifest: Manifest = serde_json::from_slice(&files["manifest.json"]).unwrap();
        manifest.files = files.iter().filter(|(name, _)| *name != "manifest.json").map(|(name, bytes)| described(name, bytes)).collect();
        files.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap());
    }
    pack(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).unwrap()
}

#[test]
fn every_file_counts_and_none_breaks_the_reader() {
    let log = Log::new();
    let names: Vec<String> = unpack(&log.package().into_zip().unwrap(), MAX_UNPACKED_BYTES).unwrap().into_keys().collect();
    for name in &names {
        for bytes in [None, Some(&b""[..]), Some(b"{}"), Some(b"[[[[[["), Some(&[0xFF; 40])] {
            let zip = with_file(&log, name, bytes, false);
            assert!(!verify(&zip, &log.policy(), &Kept::default()).unwrap().problems.is_empty(), "{name} as {bytes:?}");
            let needed = !matches!(name.as_str(), "policy" | "keys" | "consistency.json" | "manifest.json");
            let is_document = name.starts_with("documents/");
            if needed && !(is_document && bytes.is_none()) {
                let zip = with_file(&log, name, bytes, true);
                assert!(
                    !verify(&zip, &log.policy(), &Kept::default()).unwrap().problems.is_empty(),
                    "{name} as {bytes:?}, manifest put right"
                );
            }
        }
    }
    // A file nobody named, and one that was kept back.
    assert!(!verify(&with_file(&log, "extra.json", Some(b"{}"), false), &log.policy(), &Kept::default()).unwrap().problems.is_empty());
    let mut package = log.package();
    package.entries[1].document = None;
    let at = package.entries[1].position;
    let closed = verify(&package.into_zip().unwrap(), &log.policy(), &Kept::default()).unwrap();
    assert_eq!(closed.problems, [format!("documents/{at}.json: it is missing, and the package does not say why")]);
    let mut package = log.package();
    package.entries[1].document = None;
    package.lacking = vec![Lacking::event(at)];
    assert_eq!(log.problems(package).len(), 1, "nothing was ever erased");
    let mut package = log.package();
    package.entries[1].document = None;
    let page = String::from_utf8(unpack(&package.into_zip().unwrap(), MAX_UNPACKED_BYTES).unwrap()["index.html"].clone()).unwrap();
    assert!(page.contains("its record is not in this package") && !page.contains("erased"), "nothing says that it was erased");
    // A page that is not this package's, though every file is as the manifest says.
    let page = String::from_utf8(unpack(&log.package().into_zip().unwrap(), MAX_UNPACKED_BYTES).unwrap()["index.html"].clone()).unwrap();
    let lies = with_file(&log, "index.html", Some(page.replace("Health &amp; Co", "Somebody Else").as_bytes()), true);
    let problems = verify(&lies, &log.policy(), &Kept::default()).unwrap().problems;
    assert!(matches!(&problems[..], [only] if only.starts_with("index.html: ")), "{problems:?}");
    // Packages of the format before have a page that cannot be made again.
    for format in ["hearthgate/evidence/1", "hearthgate/evidence/2", "hearthgate/evidence/3"] {
        let before = older(&lies, format);
        let problems = verify(&before, &log.policy(), &Kept::default()).unwrap().problems;
        assert!(matches!(&problems[..], [only] if only.contains("older format")), "nobody is led to believe the page: {problems:?}");
        let report = verify(&before, &log.policy(), &Kept { allows_old_formats: true, ..Kept::default() }).unwrap();
        assert_eq!((report.problems.len(), report.is_page_compared), (0, false));
    }
    let unknown = older(&lies, "hearthgate/evidence/9");
    assert_eq!(verify(&unknown, &log.policy(), &Kept { allows_old_formats: true, ..Kept::default() }).unwrap().problems.len(), 1);
    // Files that belong to no entry, though the manifest names them.
    for name in [
        "documents/77.json",
        "documents/1.json",
        "provenance/3.json",
        "proofs/5.tlog-proof",
        "documents/02.json",
        "page.html",
        "documents/2.html",
    ] {
        let problems = verify(&with_file(&log, name, Some(b"{}"), true), &log.policy(), &Kept::default()).unwrap().problems;
        assert!(matches!(&problems[..], [only] if only.contains("belong to no entry")), "{name}: {problems:?}");
    }
    // A checkpoint the reader kept wants its proof.
    let seen = Checkpoint::new(ORIGIN, 5, Hash([1; 32]));
    let zip = log.package().into_zip().unwrap();
    assert!(!verify(&zip, &log.policy(), &Kept { seen: Some(&seen), ..Kept::default() }).unwrap().problems.is_empty());
    let none = with_file(&log, "consistency.json", None, true);
    assert!(!verify(&none, &log.policy(), &Kept { seen: Some(&seen), ..Kept::default() }).unwrap().problems.is_empty());
}

/// The same package that says to be of another format.
fn older(zip: &[u8], format: &str) -> Vec<u8> {
    let mut files = unpack(zip, MAX_UNPACKED_BYTES).unwrap();
    let mut manifest: Manifest = serde_json::from_slice(&files["manifest.json"]).unwrap();
    manifest.format = format.to_owned();
    files.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap());
    pack(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).unwrap()
}
