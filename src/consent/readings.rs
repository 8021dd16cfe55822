//! How a consent's rules are read together.
//!
//! `Consent` has no single machine meaning. Each reading here takes the same tested rules and says what the consent answers: permit, deny, or
//! nothing. One reading is declared for each release; the others tell whether a careful reader could have understood the patient otherwise.

use super::criteria::{KINDS, Kind};
use super::matching::{Asked, Held, Match, UNSTATED, test};
use super::rules::{Consent, Edition, Polarity, Rule};

/// What a consent answers under one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// `None` when nothing in it speaks of the request.
    pub polarity: Option<Polarity>,
    /// The rule that decided.
    pub rule: Option<usize>,
    /// Whether it rests on something that could not be told.
    pub is_uncertain: bool,
}

const SILENT: Answer = Answer { polarity: None, rule: None, is_uncertain: false };

impl Answer {
    pub(super) fn permits(self) -> bool {
        self.polarity == Some(Polarity::Permit)
    }
}

/// A consent with every criterion of every rule tested.
pub(super) struct Tested<'a> {
    consent: &'a Consent,
    /// The rules that were tested, in order, each with how far its criteria hold.
    held: Vec<(usize, [Held; KINDS])>,
    /// The rules that may speak under some reading; the others need not be looked at again.
    open: Vec<usize>,
}

/// Which rules of a reading are looked at, and how.
#[derive(Clone, Copy)]
struct Manner {
    /// What the root says, when it speaks at all.
    root: Option<Polarity>,
    /// Whether nested permits that state nothing are passed over.
    skips_placeholders: bool,
    /// Whether each branch decides for itself, and a denial in any of them wins.
    by_branch: bool,
    /// Whether a permit that rests on something unknown counts: only for asking whether the patient might have meant it.
    is_credulous: bool,
}

impl<'a> Tested<'a> {
    pub(super) fn new(consent: &'a Consent, asked: &Asked<'_>) -> Tested<'a> {
        Tested::of(consent, 0..consent.rules.len(), asked)
    }

    /// The same without the rules that whoever asks rules out. It answers alike; only its account leaves them out.
    pub(super) fn open_only(consent: &'a Consent, asked: &Asked<'_>) -> Tested<'a> {
        if asked.is_in_unknown_role {
            return Tested::new(consent, asked);
        }
        Tested::of(consent, consent.recipients.worth_testing(&asked.request.actors).into_iter(), asked)
    }

    fn of(consent: &'a Consent, tried: impl ExactSizeIterator<Item = usize>, asked: &Asked<'_>) -> Tested<'a> {
        let mut tested = Tested { consent, held: Vec::with_capacity(tried.len()), open: Vec::new() };
        for index in tried {
            let Some(rule) = consent.rules.get(index) else { continue };
            let tests = test(&rule.own, !rule.has_children, asked);
            tested.held.push((index, tests.held));
            if !tests.is_ruled_out {
                tested.open.push(index);
            }
        }
        tested
    }

    fn manner(&self) -> Manner {
        Manner { root: self.consent.base, skips_placeholders: false, by_branch: false, is_credulous: false }
    }

    /// The reading this gateway declares: PCF's for R4, alternation for R5.
    pub(super) fn declared(&self) -> Answer {
        self.literal(self.manner())
    }

    /// The name of the first other reading whose answer differs on whether to release.
    pub(super) fn dissent(&self, declared: Answer) -> Option<&'static str> {
        let differs = |answer: Option<Answer>| answer.is_some_and(|answer| answer.permits() != declared.permits());
        let manner = Manner { is_credulous: !declared.permits(), ..self.manner() };
        if self.consent.reading_is_declared {
            return None;
        }
        if differs(self.placeholder_free(manner)) {
            return Some("reading-placeholder");
        }
        if differs(Some(self.literal(Manner { by_branch: true, ..manner }))) {
            return Some("reading-by-branch");
        }
        if differs(self.first_level(manner)) {
            return Some("reading-first-level");
        }
        match self.consent.edition {
            Edition::R4 if differs(Some(self.conjunctive(manner))) => Some("reading-conjunctive"),
            Edition::R4 if differs(self.alternating_r4(manner)) => Some("reading-alternating"),
            Edition::R4 if differs(self.policy_rule_first(manner)) => Some("reading-policy-rule"),
            Edition::R4 if differs(self.most_specific(declared)) => Some("reading-most-specific"),
            Edition::R4 if differs(self.permits_listed(declared)) => Some("reading-permits-listed"),
            Edition::R5 if differs(self.refining(manner)) => Some("reading-refining"),
            Edition::R5 if differs(self.listing(declared)) => Some("reading-listing"),
            Edition::R5 if differs(self.validity(manner)) => Some("reading-validity"),
            _ => None,
        }
    }

    fn open(&self) -> impl Iterator<Item = (usize, &'a Rule)> {
        self.open.iter().filter_map(|index| Some((*index, self.consent.rules.get(*index)?)))
    }

    fn rule(&self, index: usize) -> Option<&'a Rule> {
        self.consent.rules.get(index)
    }

    fn held(&self, index: usize) -> &[Held; KINDS] {
        let found = self.held.binary_search_by_key(&index, |(tested, _)| *tested).ok().and_then(|place| self.held.get(place));
        found.map_or(&[UNSTATED; KINDS], |(_, held)| held)
    }

    /// The consent by its declared reading, in the given manner.
    fn literal(&self, manner: Manner) -> Answer {
        match self.consent.edition {
            Edition::R4 => {
                self.choose(manner, |_, rule| self.polarity_r4(rule, manner.root), |index, polarity| self.inherited(index, polarity))
            }
            Edition::R5 => self.choose_chained(manner, |_, rule| alternated(rule, manner.root)),
        }
    }

    /// The matching rule that decides: the deepest, a denial where two are as deep.
    fn choose(
        &self,
        manner: Manner,
        polarity: impl Fn(usize, &Rule) -> Option<Polarity>,
        matched: impl Fn(usize, Polarity) -> Match,
    ) -> Answer {
        let mut best: Option<Candidate> = None;
        for (index, rule) in self.open() {
            let Some(polarity) = polarity(index, rule) else { continue };
            if manner.skips_placeholders && polarity == Polarity::Permit && rule.is_placeholder() {
                continue;
            }
            let matched = matched(index, polarity);
            if !speaks(matched, polarity, manner.is_credulous) {
                continue;
            }
            let candidate = Candidate { index, depth: rule.depth, branch: rule.branch, polarity, is_uncertain: matched == Match::Unknown };
            best = Some(match best {
                Some(current) => {
                    if manner.by_branch {
                        current.across(candidate)
                    } else {
                        current.against(candidate)
                    }
                }
                None => candidate,
            });
        }
        best.map_or(SILENT, Candidate::answer)
    }

    /// The same, where a rule holds only under the rules above it.
    fn choose_chained(&self, manner: Manner, polarity: impl Fn(usize, &Rule) -> Option<Polarity>) -> Answer {
        self.choose(manner, &polarity, |index, asked| self.chained(index, asked, &polarity))
    }

    fn polarity_r4(&self, rule: &Rule, root: Option<Polarity>) -> Option<Polarity> {
        match rule.parent {
            None => root.map(|polarity| refusing(rule, polarity)),
            // A nested rule must say its type. One that does not is taken for a denial.
            Some(_) => Some(refusing(rule, rule.declared.unwrap_or(Polarity::Deny))),
        }
    }

    /// PCF: a rule is tested on its own, with the criteria of the rules above that it does not restate.
    fn inherited(&self, index: usize, polarity: Polarity) -> Match {
        let Some(rule) = self.rule(index) else { return Match::No };
        let mut weakest = Match::Yes;
        for (kind, source) in Kind::ALL.iter().zip(rule.source) {
            let Some(source) = source else { continue };
            let held = self.held(source).get(kind.index()).copied().unwrap_or(UNSTATED);
            weakest = weakest.min(if source == index { held.of(polarity) } else { self.inherited_from(source, held, polarity) });
            if weakest == Match::No {
                break;
            }
        }
        weakest
    }

    fn inherited_from(&self, source: usize, held: Held, polarity: Polarity) -> Match {
        let meant = self.rule(source).and_then(|rule| self.polarity_r4(rule, self.consent.base));
        borrowed(held, meant, polarity)
    }

    /// A rule holds only where every rule above it does.
    fn chained(&self, index: usize, polarity: Polarity, meant: impl Fn(usize, &Rule) -> Option<Polarity>) -> Match {
        let mut weakest = self.own(index, |held| held.of(polarity));
        let mut above = self.rule(index).and_then(|rule| rule.parent);
        while let (Some(place), true) = (above, weakest > Match::No) {
            let Some(rule) = self.rule(place) else { break };
            let meant = meant(place, rule);
            weakest = weakest.min(self.own(place, |held| borrowed(*held, meant, polarity)));
            above = rule.parent;
        }
        weakest
    }

    fn own(&self, index: usize, weigh: impl Fn(&Held) -> Match) -> Match {
        self.held(index).iter().map(weigh).min().unwrap_or(Match::Yes)
    }

    /// Declared types, all criteria down the path conjoined.
    fn conjunctive(&self, manner: Manner) -> Answer {
        let root = self.consent.base;
        self.choose_chained(manner, |_, rule| self.polarity_r4(rule, root))
    }

    /// R4 with types ignored and polarity alternating by depth.
    fn alternating_r4(&self, manner: Manner) -> Option<Answer> {
        let base = self.consent.base?;
        Some(self.choose_chained(manner, |_, rule| alternated(rule, Some(base))))
    }

    /// Only the first level of nesting counts, and every rule on it is an exception to the base.
    fn first_level(&self, manner: Manner) -> Option<Answer> {
        let base = self.consent.base?;
        if self.consent.shape.depth < 2 && self.consent.edition == Edition::R5 {
            return None;
        }
        Some(self.choose_chained(manner, |_, rule| if rule.depth < 2 { alternated(rule, Some(base)) } else { None }))
    }

    /// The policy rule is the base, and the root the first exception to it.
    fn policy_rule_first(&self, manner: Manner) -> Option<Answer> {
        let base = self.consent.policy_rule?;
        let states_nothing = self.consent.rules.first().is_none_or(|root| root.own.stated.is_empty());
        let root = match self.consent.root_type {
            Some(declared) if declared != base => declared,
            None if !states_nothing => base.opposite(),
            _ => return None,
        };
        let manner = Manner { root: Some(root), ..manner };
        let answer = self.choose(manner, |_, rule| self.polarity_r4(rule, Some(root)), |index, polarity| self.inherited(index, polarity));
        Some(Answer { polarity: answer.polarity.or(Some(base)), ..answer })
    }

    /// Permits beside the denials that hold, each in the same words as one of them and some more: the narrower may have been meant to win.
    fn most_specific(&self, declared: Answer) -> Option<Answer> {
        let decided = self.rule(declared.rule.filter(|_| declared.polarity == Some(Polarity::Deny))?)?;
        let beside = |polarity: Polarity| {
            let holds =
                move |(index, rule): &(usize, &Rule)| rule.parent == decided.parent && self.inherited(*index, polarity) == Match::Yes;
            self.open().filter(holds).map(|(_, rule)| rule)
        };
        let is_narrowed = |denial: &Rule| {
            let restates = |rule: &Rule, kind: &Kind| !denial.own.stated.has(*kind) || rule.own.restates(&denial.own, *kind);
            let narrows = |rule: &Rule| rule.own.stated != denial.own.stated && Kind::ALL.iter().all(|kind| restates(rule, kind));
            let permits = |rule: &&Rule| rule.declared == Some(Polarity::Permit) && !rule.refuses;
            beside(Polarity::Permit).filter(permits).any(narrows)
        };
        let denies = |rule: &&Rule| rule.declared == Some(Polarity::Deny) || rule.refuses;
        let are_narrowed = is_narrowed(decided) && beside(Polarity::Deny).filter(denies).all(is_narrowed);
        are_narrowed.then_some(Answer { polarity: Some(Polarity::Permit), ..declared })
    }

    /// The declared reading without nested permits that state nothing: they were written to hang something below them, not to permit all.
    fn placeholder_free(&self, manner: Manner) -> Option<Answer> {
        self.consent.shape.has_placeholder.then(|| self.literal(Manner { skips_placeholders: true, ..manner }))
    }

    /// R5 rules that repeat their parent's criteria say more closely what the parent means, instead of taking it back.
    fn refining(&self, manner: Manner) -> Option<Answer> {
        let refined = &self.consent.shape.refined;
        let base = self.consent.base?;
        if refined.is_empty() {
            return None;
        }
        let is_refined = |index: usize| refined.binary_search(&index).is_ok();
        let polarity_at = |index: usize, rule: &Rule| {
            let steps = (0..rule.depth).zip(self.path_up(index)).filter(|(_, place)| {
                let parent = self.rule(*place).and_then(|rule| rule.parent);
                !parent.is_some_and(is_refined)
            });
            if steps.count().is_multiple_of(2) { base } else { base.opposite() }
        };
        Some(self.choose_chained(manner, |index, rule| (!is_refined(index)).then(|| refusing(rule, polarity_at(index, rule)))))
    }

    /// The places from a rule up to, and without, the root.
    fn path_up(&self, index: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(index), |place| self.rule(*place).and_then(|rule| rule.parent)).take_while(|place| *place > 0)
    }

    /// Permits below a root that permits as much without them were written to say that this is permitted and nothing else.
    fn permits_listed(&self, declared: Answer) -> Option<Answer> {
        let is_by_root = declared.permits() && declared.rule == Some(0);
        (is_by_root && self.consent.shape.lists_permits).then_some(SILENT)
    }

    /// An R5 consent that permits and then lists nothing but purposes may have listed what it permits, as R4 does in its root. What is not
    /// listed is then not permitted: that is likely where treatment is listed, which hardly anybody means to except.
    fn listing(&self, declared: Answer) -> Option<Answer> {
        let shape = &self.consent.shape;
        match (self.consent.base, declared.polarity) {
            (Some(Polarity::Permit), Some(Polarity::Deny)) => {
                shape.lists_only_purposes.then_some(Answer { polarity: Some(Polarity::Permit), ..declared })
            }
            (Some(Polarity::Permit), _) => shape.lists_treatment.then_some(SILENT),
            _ => None,
        }
    }

    /// An R5 exception that states nothing but a period excepts everything for a while; it may have been meant as the time the consent is valid.
    fn validity(&self, manner: Manner) -> Option<Answer> {
        if !self.consent.shape.has_bare_period {
            return None;
        }
        let mut windows = self.open().filter(|(_, rule)| rule.is_bare_period());
        if !windows.any(|(index, _)| self.own(index, |held| held.permit) == Match::Yes) {
            return Some(SILENT);
        }
        Some(self.choose_chained(manner, |_, rule| if rule.is_bare_period() { None } else { alternated(rule, manner.root) }))
    }

    /// Per rule: how far it holds under the declared reading, and the first criterion that keeps it from holding.
    pub(super) fn account(&self) -> impl Iterator<Item = (&'a Rule, Match, Option<Kind>)> {
        self.consent.rules.iter().enumerate().map(|(index, rule)| {
            let (polarity, matched) = match self.consent.edition {
                Edition::R4 => {
                    let polarity = self.polarity_r4(rule, self.consent.base).unwrap_or(Polarity::Deny);
                    (polarity, self.inherited(index, polarity))
                }
                Edition::R5 => {
                    let polarity = alternated(rule, self.consent.base).unwrap_or(Polarity::Deny);
                    (polarity, self.chained(index, polarity, |_, rule| alternated(rule, self.consent.base)))
                }
            };
            (rule, matched, self.hindrance(index, polarity, matched))
        })
    }

    fn hindrance(&self, index: usize, polarity: Polarity, matched: Match) -> Option<Kind> {
        let sources = self.rule(index)?.source;
        let weakest = |kind: &Kind| {
            let source = sources.get(kind.index()).copied().flatten()?;
            let held = self.held(source).get(kind.index())?;
            Some(held.of(polarity).min(if source == index { Match::Yes } else { held.permit.max(held.deny) }))
        };
        let found = Kind::ALL.into_iter().find(|kind| weakest(kind).is_some_and(|held| held <= matched));
        found.filter(|_| matched < Match::Yes)
    }

    /// The rules whose denial waits for the resource.
    pub(super) fn deferred(&self) -> impl Iterator<Item = &'a Rule> {
        self.account().filter(|(_, matched, _)| *matched == Match::Deferred).map(|(rule, ..)| rule)
    }
}

/// How far a criterion that another rule states, and means as `meant`, holds for a rule of the given polarity: as that rule means it, and for
/// a denial as widely as either would.
fn borrowed(held: Held, meant: Option<Polarity>, polarity: Polarity) -> Match {
    match (meant, polarity) {
        (_, Polarity::Deny) => held.permit.max(held.deny),
        // What is deferred to the resource does not keep a request from being made.
        (Some(Polarity::Deny), Polarity::Permit) if held.deny != Match::Deferred => held.permit.min(held.deny),
        _ => held.permit,
    }
}

fn speaks(matched: Match, polarity: Polarity, is_credulous: bool) -> bool {
    match polarity {
        Polarity::Permit if !is_credulous => matched == Match::Yes,
        _ => matched >= Match::Unknown,
    }
}

fn refusing(rule: &Rule, polarity: Polarity) -> Polarity {
    if rule.refuses { Polarity::Deny } else { polarity }
}

/// Polarity by depth: what nests is an exception to what it nests in. Without a base every rule is taken for a denial, and the root for nothing.
fn alternated(rule: &Rule, base: Option<Polarity>) -> Option<Polarity> {
    match base {
        Some(base) => Some(refusing(rule, if rule.depth.is_multiple_of(2) { base } else { base.opposite() })),
        None => rule.parent.map(|_| Polarity::Deny),
    }
}

#[derive(Clone, Copy)]
struct Candidate {
    index: usize,
    depth: usize,
    branch: Option<usize>,
    polarity: Polarity,
    is_uncertain: bool,
}

impl Candidate {
    /// The deeper of two, a denial where they are as deep, the more certain of two denials.
    fn against(self, other: Candidate) -> Candidate {
        let rank = |candidate: &Candidate| (candidate.depth, candidate.polarity == Polarity::Deny, !candidate.is_uncertain);
        if rank(&other) > rank(&self) { other } else { self }
    }

    /// Candidates come depth first, so a branch is complete before the next begins: within it the deeper wins, across branches a denial does.
    fn across(self, other: Candidate) -> Candidate {
        if self.branch.is_none() || self.branch == other.branch {
            return self.against(other);
        }
        if self.polarity == Polarity::Deny { self } else { other }
    }

    fn answer(self) -> Answer {
        Answer { polarity: Some(self.polarity), rule: Some(self.index), is_uncertain: self.is_uncertain }
    }
}
