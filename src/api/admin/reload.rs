//! Asking the gateway to read its configuration again.

use super::AdminState;
use super::guard::{answer, failed};
use crate::audit::Opened;
use crate::config::Settings;
use crate::fhir::{Node, Object, json};
use crate::outcome::{Fault, FaultKind, IssueType, Reason, Refusal};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::Response;
use axum::routing::post;
use tokio::sync::{mpsc, oneshot};

/// What is to be read again.
pub enum Reload {
    /// The configuration file.
    File,
    /// These settings, as if they were read.
    Settings(Box<Settings>),
    /// The same settings, with what operators have given since.
    Same,
}

/// A reload that somebody waits for.
pub struct ReloadRequest {
    pub what: Reload,
    /// Who asked, for the audit record.
    pub opened: Opened,
    /// What came of it; a refusal says in words why the old configuration stays.
    pub answer: oneshot::Sender<Result<Reloaded, String>>,
}

/// A configuration taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Sections and keys that differ in the file and take effect at the next start only.
    pub at_restart: Vec<&'static str>,
}

pub(super) fn router() -> Router<AdminState> {
    Router::new().route("/reload", post(reload))
}

async fn reload(State(state): State<AdminState>, Extension(opened): Extension<Opened>) -> Response<Body> {
    match ask(&state.reload, Reload::File, opened).await {
        Ok(Ok(reloaded)) => {
            let names: Vec<Node> = reloaded.at_restart.into_iter().map(Node::from).collect();
            answer(200, "application/json", json::write(&Object::new().with("reloaded", true).with("at-restart", names).into()))
        }
        Ok(Err(text)) => failed(&Refusal::new(Reason::Invalid, IssueType::Invalid, text).into()),
        Err(fault) => failed(&fault.into()),
    }
}

/// Asks for a reload and waits for it.
pub(super) async fn ask(reload: &mpsc::Sender<ReloadRequest>, what: Reload, opened: Opened) -> Result<Result<Reloaded, String>, Fault> {
    let gone = || Fault::new(FaultKind::ShuttingDown, "nobody reloads any more");
    let (answer, receive) = oneshot::channel();
    let opened = Opened { interaction: "reload", ..opened };
    reload.send(ReloadRequest { what, opened, answer }).await.map_err(|_| gone())?;
    receive.await.map_err(|_| gone())
}
