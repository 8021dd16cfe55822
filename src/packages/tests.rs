//! Archives of every bad kind, closures, and a cache in a folder of its own.

use super::archive::{self, Limits, Rejected};
use super::closure::{Brought, Closure, DEPTH_MAX, PACKAGES_MAX, Supply, Unplannable};
use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;
use tar::{Builder, EntryType, Header};

/// A header with a path the tar crate would refuse to write.
fn header(path: &str, kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn packed(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, kind, content) in entries {
        builder.append(&header(path, *kind, content.len()), *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

const FILE: EntryType = EntryType::Regular;

fn manifest(name: &str, version: &str, dependencies: &[(&str, &str)]) -> String {
    let dependencies: Vec<String> = dependencies.iter().map(|(name, version)| format!(r#""{name}": "{version}""#)).collect();
    format!(r#"{{"name": "{name}", "version": "{version}", "fhirVersions": ["4.0.1"], "dependencies": {{{}}}}}"#, dependencies.join(", "))
}

fn package(name: &str, version: &str, dependencies: &[(&str, &str)]) -> Vec<u8> {
    packed(&[("package/package.json", FILE, manifest(name, version, dependencies).as_bytes()), ("package/ValueSet-a.json", FILE, b"{}")])
}

const SMALL: Limits = Limits { packed_bytes: 10_000, unpacked_bytes: 4_000, file_bytes: 2_000, files: 4, dependencies: 2 };

#[test]
fn archives_are_judged_whole() {
    let good = manifest("a.b", "1.0.0", &[]);
    let with =
        |path: &str, kind: EntryType, content: &[u8]| packed(&[("package/package.json", FILE, good.as_bytes()), (path, kind, content)]);
    let check = |name: &str, bytes: &[u8], expected: &Rejected| {
        assert_eq!(archive::judge(bytes, &SMALL).as_ref(), Err(expected), "{name}");
    };
    check("climbs", &with("package/../../../etc/cron.d/x", FILE, b"x"), &Rejected::Path);
    check("absolute", &with("/etc/passwd", FILE, b"x"), &Rejected::Path);
    check("other separators", &with("package\\..\\x", FILE, b"x"), &Rejected::Path);
    check("drive", &with("C:/x", FILE, b"x"), &Rejected::Path);
    check("control", &with("package/a\nb", FILE, b"x"), &Rejected::Path);
    check("link", &with("package/link", EntryType::Symlink, b""), &Rejected::NotAFile);
    check("hard link", &with("package/link", EntryType::Link, b""), &Rejected::NotAFile);
    check("device", &with("package/tty", EntryType::Char, b""), &Rejected::NotAFile);
    check("twice", &with("package/PACKAGE.json", FILE, b"{}"), &Rejected::Twice);
    check("large file", &with("package/x", FILE, &[b'x'; 2_001]), &Rejected::FileTooLarge { limit: 2_000 });
    let three = [("package/package.json", FILE, good.as_bytes()), ("package/x", FILE, &[0; 1_999]), ("package/y", FILE, &[0; 1_999])];
    check("large in all", &packed(&three), &Rejected::UnpackedTooLarge { limit: 4_000 });
    let many: Vec<String> = (0..5).map(|number| format!("package/{number}")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), FILE, &b""[..])).collect();
    check("many", &packed(&many), &Rejected::TooManyFiles { limit: 4 });
    check("large archive", &[0; 10_001], &Rejected::PackedTooLarge { limit: 10_000 });
    check("half written", &with("package/v.json", FILE, b"{half"), &Rejected::NotJson { file: "v.json".into() });
    check("no manifest", &packed(&[("package/x.json", FILE, b"{}")]), &Rejected::NoManifest);
    check("empty manifest", &packed(&[("package/package.json", FILE, b"{}")]), &Rejected::Manifest);
    let climbing = manifest("../up", "1.0.0", &[]);
    check("name that climbs", &packed(&[("package/package.json", FILE, climbing.as_bytes())]), &Rejected::Manifest);
    let listed = br#"{"name": "a.b", "version": "1.0.0", "dependencies": ["c.d#1.0.0"]}"#;
    check("needs in a list", &packed(&[("package/package.json", FILE, listed)]), &Rejected::Manifest);
    let greedy = manifest("a.b", "1.0.0", &[("c", "1"), ("d", "1"), ("e", "1")]);
    check("many needs", &packed(&[("package/package.json", FILE, greedy.as_bytes())]), &Rejected::TooManyDependencies { limit: 2 });
    for (name, bytes) in [("not gzip", b"hello".to_vec()), ("cut off", with("package/x", FILE, b"x")[..60].to_vec())] {
        assert!(matches!(archive::judge(&bytes, &SMALL), Err(Rejected::Unreadable(_))), "{name}");
    }
    let found = archive::judge(&with("package/x", FILE, b"x"), &SMALL).unwrap();
    assert_eq!((found.at.to_string().as_str(), found.releases.as_slice()), ("a.b#1.0.0", &["4.0.1".to_owned()][..]));
}

/// A megabyte of zeros packs to a kilobyte; what it unpacks to is what is counted, and reading stops there.
#[test]
fn a_bomb_is_stopped_while_it_unpacks() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..64 {
        encoder.write_all(header("package/x", FILE, 1 << 20).as_bytes()).unwrap();
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bytes = encoder.finish().unwrap();
    assert!(bytes.len() < 100_000, "{}", bytes.len());
    let limits = Limits { file_bytes: 1 << 30, packed_bytes: 1 << 30, ..SMALL };
    let mut seen = 0;
    let refused = archive::walk(&bytes, &limits, |_, content| {
        seen += content.len();
        Ok(())
    });
    assert!(refused.is_err() && seen < 100_000, "{refused:?} {seen}");
}

#[test]
fn versions_are_chosen() {
    for (wish, expected) in [
        ("a", Some("2.0.0")),
        ("a#latest", Some("2.0.0")),
        ("a#1.0.x", Some("1.0.10")),
        ("a#1.x", Some("1.2.0")),
        ("a#3.x", Some("3.0.0-ballot")),
        ("a#1.0.9", Some("1.0.9")),
        ("a#1.0.1", None),
    ] {
        let versions = ["1.0.9", "1.0.10", "1.2.0", "2.0.0", "2.1.0-ballot", "3.0.0-ballot"];
        assert_eq!(Coordinates::parse(wish).unwrap().choose(versions.into_iter()), expected, "{wish}");
    }
    for wrong in ["", "#1", "a#", "../a#1", "a#..", ".a#1", "a b#1", "a/b#1", "@other/a#1", "@hl7/../a#1"] {
        assert_eq!(Coordinates::parse(wrong), None, "{wrong}");
    }
    assert_eq!(Coordinates::parse("@hl7/a.b@1.0.0"), Coordinates::parse("a.b#1.0.0"));
}

#[test]
fn what_hl7_publishes_to_npm_is_the_same_package() {
    let manifest = manifest("@hl7/a.b", "1.0.0", &[("@hl7/c", "1.0.0")]);
    let read = archive::read_manifest(manifest.as_bytes(), &SMALL).unwrap();
    assert_eq!((read.at.to_string(), read.dependencies[0].to_string()), ("a.b#1.0.0".to_owned(), "c#1.0.0".to_owned()));
}

type Shelf = HashMap<String, Vec<u8>>;

fn closure(shelf: &Shelf, first: &str) -> Result<(Vec<String>, Vec<String>), Unplannable> {
    let brought = |bytes: &Vec<u8>| Brought { bytes: bytes.clone().into(), origin: "here".into(), expected_digest: None };
    let mut supply = |wish: &Coordinates| Ok(shelf.get(&wish.name).map_or(Supply::Missing, |bytes| Supply::Brought(brought(bytes))));
    let mut closure = Closure::new(Limits::default(), &mut supply);
    closure.add(brought(&shelf[first]), None)?;
    let plan = closure.done();
    Ok((plan.packages.iter().map(|one| one.manifest.at.to_string()).collect(), plan.missing.iter().map(ToString::to_string).collect()))
}

fn shelf(packages: &[(&str, &[(&str, &str)])]) -> Shelf {
    packages.iter().map(|(name, dependencies)| ((*name).to_owned(), package(name, "1.0.0", dependencies))).collect()
}

#[test]
fn closures() {
    let diamond = shelf(&[
        ("a", &[("b", "1.0.0"), ("c", "1.0.x")]),
        ("b", &[("d", "latest")]),
        ("c", &[("d", "1.x"), ("gone", "2.0.0")]),
        ("d", &[]),
    ]);
    let (order, missing) = closure(&diamond, "a").unwrap();
    assert_eq!((order.join(" "), missing.join(" ")), ("d#1.0.0 b#1.0.0 c#1.0.0 a#1.0.0".to_owned(), "gone#2.0.0".to_owned()));
    let circle = shelf(&[("a", &[("b", "1.0.0")]), ("b", &[("c", "1.0.0")]), ("c", &[("b", "1.0.0")])]);
    let cycle = Unplannable::Cycle(vec!["b#1.0.0".into(), "c#1.0.0".into(), "b#1.0.0".into()]);
    assert!(cycle.to_string().contains("b#1.0.0 → c#1.0.0 → b#1.0.0; hearthgate package remove"), "{cycle}");
    assert_eq!(closure(&circle, "a"), Err(cycle));
    assert!(matches!(closure(&shelf(&[("a", &[("a", "1.0.0")])]), "a"), Err(Unplannable::Cycle(_))));
    let mismatched =
        HashMap::from([("a".to_owned(), package("a", "1.0.0", &[("b", "1.0.0")])), ("b".to_owned(), package("b", "2.0.0", &[]))]);
    assert!(matches!(closure(&mismatched, "a"), Err(Unplannable::Rejected { why: Rejected::Other { .. }, .. })));
    let chain = |length: usize| -> Shelf {
        (0..length)
            .map(|number| (format!("p{number}"), package(&format!("p{number}"), "1.0.0", &[(&format!("p{}", number + 1), "1.0.0")])))
            .collect()
    };
    assert!(closure(&chain(DEPTH_MAX), "p0").is_ok());
    assert_eq!(closure(&chain(DEPTH_MAX + 1), "p0"), Err(Unplannable::TooDeep));
    let mut wide = Shelf::new();
    for group in 0..3 {
        let names: Vec<String> = (0..90).map(|number| format!("w{group}.{number}")).collect();
        let wishes: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1.0.0")).collect();
        wide.insert(format!("g{group}"), package(&format!("g{group}"), "1.0.0", &wishes));
        wide.extend(names.iter().map(|name| (name.clone(), package(name, "1.0.0", &[]))));
    }
    wide.insert("all".to_owned(), package("all", "1.0.0", &[("g0", "1.0.0"), ("g1", "1.0.0"), ("g2", "1.0.0")]));
    assert_eq!(closure(&wide, "all"), Err(Unplannable::TooMany), "more than {PACKAGES_MAX}");
}

#[test]
fn a_wrong_digest_is_refused() {
    let mut supply = |_: &Coordinates| Ok(Supply::Missing);
    let mut closure = Closure::new(Limits::default(), &mut supply);
    let brought = Brought { bytes: package("a", "1.0.0", &[]).into(), origin: "here".into(), expected_digest: Some("00".into()) };
    assert!(matches!(closure.add(brought, None), Err(Unplannable::Rejected { why: Rejected::Digest { .. }, .. })));
    // So it is where the source itself says what the digest should have been.
    let wrong = Rejected::Digest { expected: "00".into(), found: "11".into() };
    let mut supply = |_: &Coordinates| Ok(Supply::Refused(wrong.clone()));
    let refused = Closure::new(Limits::default(), &mut supply).need(&Coordinates::parse("b#1.0.0").unwrap());
    assert_eq!(refused, Err(Unplannable::Rejected { what: "b#1.0.0".into(), why: wrong.clone() }));
}

fn cache(name: &str) -> Cache {
    let root = std::env::temp_dir().join(format!("hearthgate-packages-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    Cache::new(root)
}

fn planned(bytes: Vec<u8>) -> super::closure::Planned {
    let manifest = archive::judge(&bytes, &Limits::default()).unwrap();
    super::closure::Planned { manifest, digest: archive::digest(&bytes), origin: "here".into(), bytes: bytes.into() }
}

fn fresh(_: &std::fs::Metadata) -> Duration {
    Duration::ZERO
}

#[test]
fn the_cache() {
    let cache = cache("life");
    assert_eq!(cache.list().unwrap(), []);
    let (one, two) = (planned(package("a", "1.0.0", &[("b", "1.x")])), planned(package("b", "1.2.0", &[])));
    assert!(cache.install(&two, fresh).unwrap());
    assert!(cache.install(&one, fresh).unwrap());
    assert!(!cache.install(&one, fresh).unwrap(), "the same again is nothing new");
    let other = planned(packed(&[("package/package.json", FILE, manifest("a", "1.0.0", &[]).as_bytes())]));
    assert!(matches!(cache.install(&other, fresh), Err(CacheError::Conflict { .. })));
    assert!(matches!(cache.refuse_other(&other), Err(CacheError::Conflict { .. })));
    let root = cache.root();
    assert_eq!(std::fs::read_to_string(root.join("packages.ini")).unwrap(), "[cache]\nversion = 4\n");
    assert!(root.join("a#1.0.0/package/package.json").is_file());
    assert_eq!(cache.locked().unwrap().packages.iter().map(|one| one.sha256.clone()).collect::<Vec<_>>(), [one.digest.clone(), two.digest]);
    let folders = cache.with_dependencies(&Coordinates::parse("a").unwrap()).unwrap();
    assert_eq!(folders, [root.join("b#1.2.0/package"), root.join("a#1.0.0/package")]);
    // What another process writes is left to it, until its lock is stale.
    let lock = root.join("c#1.0.0.lock");
    std::fs::write(&lock, "").unwrap();
    let third = planned(package("c", "1.0.0", &[]));
    assert!(matches!(cache.install(&third, fresh), Err(CacheError::Busy(_))));
    assert!(cache.install(&third, |_| Duration::from_secs(3_600)).unwrap());
    assert!(!lock.exists());
    // A folder without its manifest is no package.
    std::fs::remove_file(root.join("c#1.0.0/package/package.json")).unwrap();
    assert!(matches!(cache.find(&Coordinates::parse("c#1.0.0").unwrap()), Err(CacheError::HalfWritten(_))));
    assert!(cache.install(&third, fresh).unwrap(), "adding it again makes it whole");
    let at = |text: &str| Coordinates::parse(text).unwrap();
    cache.remove(&at("c#1.0.0"), false).unwrap();
    assert!(matches!(cache.remove(&at("c#1.0.0"), false), Err(CacheError::NotHere(_))));
    assert!(matches!(cache.remove(&at("b#1.2.0"), false), Err(CacheError::Needed { .. })));
    cache.remove(&at("b#1.2.0"), true).unwrap();
    assert_eq!(cache.list().unwrap().len(), 1);
    std::fs::write(root.join("hearthgate.lock"), "nonsense").unwrap();
    assert!(matches!(cache.list(), Err(CacheError::LockFile(_))));
    std::fs::remove_dir_all(root).unwrap();
}

/// Packages that are here already lead back to what is being added as well as those that come with it.
#[test]
fn circles_through_what_is_here() {
    let here: HashMap<&str, &[(&str, &str)]> = HashMap::from([
        ("b", &[("c", "1.0.0")][..]),
        ("c", &[("a", "1.x")]),
        ("d", &[("e", "1.0.0"), ("f", "1.0.0")]),
        ("e", &[("f", "1.0.0")]),
        ("f", &[]),
    ]);
    let check = |needs: &str, expected: Result<(), Unplannable>| {
        let mut supply = |wish: &Coordinates| {
            let found = here.get(wish.name.as_str()).map(|needs| manifest(&wish.name, "1.0.0", needs));
            let read = |text: String| archive::read_manifest(text.as_bytes(), &Limits::default()).unwrap();
            Ok(found.map_or(Supply::Missing, |text| Supply::Here(read(text))))
        };
        let mut closure = Closure::new(Limits::default(), &mut supply);
        let bytes = package("a", "1.0.0", &[(needs, "1.0.0")]);
        assert_eq!(closure.add(Brought { bytes: bytes.into(), origin: "here".into(), expected_digest: None }, None), expected, "{needs}");
    };
    check("b", Err(Unplannable::Cycle(["a", "b", "c", "a"].map(|name| format!("{name}#1.0.0")).to_vec())));
    check("d", Ok(()));
}

#[test]
fn what_was_altered_is_not_given_out() {
    let cache = cache("altered");
    let (a, b) = (planned(package("a", "1.0.0", &[("b", "1.0.0")])), planned(package("b", "1.0.0", &[])));
    assert!(cache.install(&b, fresh).unwrap() && cache.install(&a, fresh).unwrap());
    let at = |text: &str| Coordinates::parse(text).unwrap();
    let folder = cache.root().join("b#1.0.0/package");
    let check = |what: &str, is_altered: bool| {
        assert_eq!(cache.is_altered(&at("b#1.0.0")).unwrap(), is_altered, "{what}");
        assert_eq!(matches!(cache.with_dependencies(&at("a")), Err(CacheError::Altered(_))), is_altered, "{what}");
    };
    check("as it was added", false);
    std::fs::write(folder.join(".index.json"), "{}").unwrap();
    check("an index of another tool", false);
    std::fs::write(folder.join("ValueSet-a.json"), "{ }").unwrap();
    check("a file changed", true);
    assert!(cache.install(&b, fresh).unwrap(), "adding it again makes it what it was");
    check("added again", false);
    std::fs::write(folder.join("ValueSet-b.json"), "{}").unwrap();
    check("a file more", true);
    std::fs::remove_file(folder.join("ValueSet-b.json")).unwrap();
    check("as before", false);
    std::fs::remove_file(folder.join("ValueSet-a.json")).unwrap();
    check("a file less", true);
    std::fs::remove_dir_all(cache.root()).unwrap();
}

#[test]
fn what_a_package_needs_is_found_beside_it() {
    let folder = std::env::temp_dir().join(format!("hearthgate-beside-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |file: &str, bytes: &[u8]| std::fs::write(folder.join(file), bytes).unwrap();
    write("a.a#1.0.0.tgz", &package("a.a", "1.0.0", &[("b.b", "1.0.0"), ("gone.gone", "2.0.0")]));
    write("b.b#1.0.0.tgz", &package("b.b", "1.0.0", &[("c.c", "1.0.0"), ("a.a", "1.0.0")]));
    write("c.c#1.0.0.tgz", &package("c.c", "1.0.0", &[]));
    write("broken.tgz", b"no package");
    let check = |file: &str, expected: &[&str]| {
        let found = with_neighbours(&folder.join(file), &Limits::default());
        assert_eq!(found, expected.iter().map(|name| folder.join(name)).collect::<Vec<_>>(), "{file}");
    };
    check("a.a#1.0.0.tgz", &["c.c#1.0.0.tgz", "b.b#1.0.0.tgz", "a.a#1.0.0.tgz"]);
    check("c.c#1.0.0.tgz", &["c.c#1.0.0.tgz"]);
    check("broken.tgz", &["broken.tgz"]);
    check("", &[""]);
    std::fs::remove_dir_all(&folder).unwrap();
}
