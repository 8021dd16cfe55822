//! What a checkpoint that the reader kept tells beside a package: only one of the size that its proof was made for can tell of a fork.

use super::*;

#[test]
fn a_checkpoint_of_another_size_accuses_nobody() {
    let log = Log::new();
    let zip = log.package().into_zip().unwrap();
    let size = log.edge.size();
    let mut tree = TreeHashes::new(&log.edge, &NoTiles);
    let forked = Hash([1; 32]);
    let roots: Vec<Hash> = (0..=size).map(|size| if size == 0 { forked } else { tree.root(size).unwrap() }).collect();
    let root = |size: u64| roots[size as usize];
    for (seen, root, expected, extends) in [
        (5, root(5), "", Some(5)),
        (5, forked, "consistency.json: the checkpoint you saw is not in this log's history", None),
        (4, root(4), "ask for the package with seen=4", None),
        (4, forked, "ask for the package with seen=4", None),
        (size, root(size), "", Some(size)),
        (size, forked, "the log was forked", None),
        (size + 1, root(5), "it shows less than was seen", None),
        (0, roots[0], "", Some(0)),
    ] {
        let seen = Checkpoint::new(ORIGIN, seen, root);
        let report = verify(&zip, &log.policy(), &Kept { seen: Some(&seen), ..Kept::default() }).unwrap();
        match &report.problems[..] {
            [] => assert_eq!(expected, "", "{seen:?}"),
            [problem] => {
                assert!(!expected.is_empty() && problem.contains(expected), "{seen:?}: {problem}");
                assert_eq!(problem.contains("forked"), expected.contains("history") || expected.contains("forked"), "{problem}");
            }
            problems => panic!("{seen:?}: {problems:?}"),
        }
        assert_eq!(report.extends, extends, "{seen:?}");
    }
    let other = Checkpoint::new("other.test/log", 5, root(5));
    let problems = verify(&zip, &log.policy(), &Kept { seen: Some(&other), ..Kept::default() }).unwrap().problems;
    assert!(matches!(&problems[..], [only] if only.contains("of another log")), "{problems:?}");
}
