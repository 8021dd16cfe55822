//! The scene: a gateway, two hospitals' servers and four partners with keys drawn now, all on loopback ports the system chose.

use super::hospital::Hospital;
use super::partner::{Credentials, KEY_ID, Partner};
use super::records::{GATEWAY, Person};
use super::view::Origins;
use crate::clock::{Clock, Entropy};
use crate::config::{BaseUrl, Settings, SigningAlgorithm};
use crate::identity::{GeneratedKey, generate_key, http_client};
use crate::outcome::{Fault, FaultKind};
use crate::wire::{Gateway, Listeners, Running};
use data_encoding::HEXLOWER;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The clients of the configuration, and what each signs with.
const CLIENTS: [(&str, SigningAlgorithm); 4] = [
    ("hospital-a", SigningAlgorithm::Rs384),
    ("hospital-b", SigningAlgorithm::Es384),
    ("laboratory", SigningAlgorithm::Es384),
    ("regulator", SigningAlgorithm::Es384),
];

/// Everybody, in place.
pub struct Scene {
    gateway: Running,
    servers: Vec<JoinHandle<()>>,
    /// Removed when the scene ends, so it comes last.
    folder: TemporaryFolder,
    pub origin: String,
    pub verifier_key: Arc<str>,
    pub partners: Partners,
    pub server_a: Server,
    pub server_b: Server,
    /// How long the gateway took from nothing to listening.
    pub started: Duration,
}

/// Who calls the gateway.
pub struct Partners {
    pub hospital_a: Partner,
    pub hospital_b: Partner,
    pub laboratory: Partner,
    pub regulator: Partner,
}

/// A hospital's server, as the others see it.
pub struct Server {
    pub address: SocketAddr,
    pub size: usize,
}

impl Scene {
    pub async fn open(person: &Person, clock: &Clock, entropy: &Entropy) -> Result<Scene, Fault> {
        let folder = TemporaryFolder::make(entropy)?;
        let (server_a, task_a) = open_hospital(|address| Hospital::a(person, address)).await?;
        let (server_b, task_b) = open_hospital(|address| Hospital::b(person, address)).await?;
        let keys = draw_keys(&folder)?;
        let stopwatch = clock.stopwatch();
        let gateway = open_gateway(&folder, &server_a, &server_b, clock, entropy).await?;
        let started = stopwatch.elapsed();
        let origin = format!("http://{}", gateway.public);
        let partners = sign_in(&origin, &keys, clock, entropy).await?;
        let verifier_key = Arc::clone(&gateway.verifier_key);
        Ok(Scene { gateway, servers: vec![task_a, task_b], folder, origin, verifier_key, partners, server_a, server_b, started })
    }

    /// By what the records of each origin are told.
    pub fn origins(&self) -> Origins {
        let sent = |source: &str| format!("urn:hearthgate:source:{source}");
        let held = |server: &Server| format!("http://{}/", server.address);
        let hospital_a = vec![sent("hospital-a"), held(&self.server_a)];
        Origins([hospital_a, vec![sent("laboratory")], vec![sent("hospital-b"), held(&self.server_b)]])
    }

    /// Everybody goes home: the gateway drains, the servers stop, the folder is removed.
    pub async fn close(self) {
        self.gateway.shut_down().await;
        self.servers.iter().for_each(JoinHandle::abort);
        drop(self.folder);
    }
}

async fn open_hospital(hospital: impl FnOnce(SocketAddr) -> Hospital) -> Result<(Server, JoinHandle<()>), Fault> {
    let failed = |error: std::io::Error| Fault::new(FaultKind::Internal, format!("a hospital's server: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let hospital = hospital(address);
    let server = Server { address, size: hospital.size() };
    let serving = async move {
        if let Err(error) = hospital.serve(listener).await {
            tracing::error!(%error, "a hospital's server ended");
        }
    };
    Ok((server, tokio::spawn(serving)))
}

/// Each client draws its key and hands the public half to the operator of the gateway.
fn draw_keys(folder: &TemporaryFolder) -> Result<Vec<GeneratedKey>, Fault> {
    let draw = |(client, algorithm): (&str, SigningAlgorithm)| {
        let key = generate_key(algorithm, KEY_ID).map_err(|text| Fault::new(FaultKind::Internal, text))?;
        let file = folder.0.join(format!("{client}.jwks.json"));
        fs::write(&file, &key.public_jwks).map_err(|error| Fault::new(FaultKind::Storage, format!("{}: {error}", file.display())))?;
        Ok(key)
    };
    CLIENTS.into_iter().map(draw).collect()
}

async fn open_gateway(folder: &TemporaryFolder, a: &Server, b: &Server, clock: &Clock, entropy: &Entropy) -> Result<Running, Fault> {
    let broken = |error: &dyn std::fmt::Display| Fault::new(FaultKind::Internal, error.to_string());
    let text = GATEWAY.replace("//HOSPITAL-A/", &format!("//{}/", a.address)).replace("//HOSPITAL-B/", &format!("//{}/", b.address));
    let mut settings = Settings::from_toml(&text, &folder.0).map_err(|error| broken(&error))?;
    let listeners = Listeners::bind(&settings)?;
    let address = listeners.public_address().ok_or_else(|| broken(&"the listener has no address"))?;
    settings.server.base_url = Some(BaseUrl::parse(&format!("http://{address}")).map_err(|error| broken(&error))?);
    Gateway::build(settings, clock.clone(), entropy.clone())?.start(listeners).await
}

async fn sign_in(origin: &str, keys: &[GeneratedKey], clock: &Clock, entropy: &Entropy) -> Result<Partners, Fault> {
    let http = http_client()?;
    let mut partners = Vec::with_capacity(CLIENTS.len());
    for ((client_id, algorithm), key) in CLIENTS.into_iter().zip(keys) {
        partners.push(Partner::sign_in(&http, origin, Credentials { client_id, key, algorithm }, clock, entropy).await?);
    }
    let [hospital_a, hospital_b, laboratory, regulator] =
        <[Partner; 4]>::try_from(partners).map_err(|_| Fault::new(FaultKind::Internal, "a partner without a key"))?;
    Ok(Partners { hospital_a, hospital_b, laboratory, regulator })
}

/// A folder of our own that goes when we go.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn make(entropy: &Entropy) -> Result<TemporaryFolder, Fault> {
        let path = std::env::temp_dir().join(format!("hearthgate-demo-{}", HEXLOWER.encode(&entropy.bytes::<8>())));
        fs::create_dir_all(&path).map_err(|error| Fault::new(FaultKind::Storage, format!("{}: {error}", path.display())))?;
        Ok(TemporaryFolder(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed now is left to the system, which clears its temporary folder itself.
        let _ = fs::remove_dir_all(&self.0);
    }
}
