//! Two patients, and whoever may erase one of them.

use super::data::patient;
use super::party::Answer;
use super::world::{OFFICER, Setup, World};
use super::{Call, Party};
use rusqlite::Connection;

pub struct TwoPatients {
    pub world: World,
    pub a: Party,
    pub officer: Party,
    pub regulator: Party,
    /// Who is erased, and who stays.
    pub first: String,
    pub second: String,
}

impl TwoPatients {
    pub async fn new() -> TwoPatients {
        TwoPatients::in_world(Setup::configured(OFFICER).start().await).await
    }

    /// Two patients in a world that has an officer.
    pub async fn in_world(world: World) -> TwoPatients {
        let a = world.party("hospital-a").await;
        let (first, second) = (a.create(&patient("1")).await, a.create(&patient("2")).await);
        TwoPatients::of(world, first, second).await
    }

    /// The same two in a world that goes on.
    pub async fn of(world: World, first: String, second: String) -> TwoPatients {
        let (a, regulator) = (world.party("hospital-a").await, world.party("health-department").await);
        let token = world.ask_token("officer", "system/Patient.r").await.expect(200).json();
        let officer = Party { token: token["access_token"].as_str().map(str::to_owned), ..world.stranger() };
        TwoPatients { world, a, officer, regulator, first, second }
    }

    pub fn data(&self) -> Connection {
        Connection::open(self.world.data().join("data.db")).unwrap()
    }

    /// Erases a patient; `more` is what follows the address.
    pub async fn erase(&self, patient: &str, more: &str) -> Answer {
        self.officer.call(Call::new("POST", &format!("Patient/{patient}/$erase{more}"))).await
    }
}
