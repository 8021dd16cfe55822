//! Numbers from a seed.

use hearthgate::clock::Entropy;

pub struct Chance(Entropy);

impl Chance {
    pub fn seeded(seed: u64) -> Chance {
        Chance(Entropy::seeded(seed))
    }

    pub fn below(&self, limit: usize) -> usize {
        usize::try_from(u64::from_le_bytes(self.0.bytes()) % limit as u64).unwrap()
    }

    pub fn of<T: Clone>(&self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    pub fn is(&self) -> bool {
        self.below(2) == 0
    }
}
