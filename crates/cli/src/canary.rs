//! `portcullis canary`: members, ids and keys that do not exist, to be planted where nobody should read.
//!
//! The registry holds no value; values follow from the key, and are printed only where somebody asks for them.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_config::Policy;
use portcullis_control::model::{CanaryBook, CanaryLine};
use portcullis_dataguard::canary::{CanaryId, CanaryKey, Entry, EntryKind, Registry, Values};
use portcullis_dataguard::decode::{Bounds, Codings};
use portcullis_dataguard::detect::{Findings, Found, Kinds, Scan};
use portcullis_dataguard::{Canaries, Detector, Reader, Scanner};
use portcullis_sensors::manifest::hex;

use crate::args::{AskCanary, CanaryKind, ListCanaries, NewCanary};
use crate::remote::Far;
use crate::world::plain;
use crate::{Done, Failure, configuration, moment, talk};

/// Makes, lists, tries and retires canaries.
pub(crate) fn run(ask: &AskCanary) -> Done {
    match ask {
        AskCanary::New(flags) => new(flags),
        AskCanary::List(flags) => list(flags),
        AskCanary::Test(flags) => test(&Place::of(&flags.config)?),
        AskCanary::Retire(flags) => retire(&Place::of(&flags.config)?, &flags.ids),
    }
}

/// Every canary that was made, and whether the configuration names them.
pub(crate) fn all(policy: &Policy, config: &Path) -> Result<(Vec<Entry>, bool), Failure> {
    let place = Place::within(policy, config);
    Ok((place.registry()?.entries().to_vec(), place.declared))
}

/// Where registry and key are.
struct Place {
    registry: PathBuf,
    key: PathBuf,
    /// The configuration names them.
    declared: bool,
}

impl Place {
    /// As the configuration names them, or beside it.
    fn of(config: &Path) -> Result<Self, Failure> {
        Ok(Self::within(&configuration::policy(config)?, config))
    }

    fn within(policy: &Policy, config: &Path) -> Self {
        if let Some(files) = &policy.data.canaries {
            return Self { registry: files.registry.clone(), key: files.key.clone(), declared: true };
        }
        let beside = |name: &str| config.parent().unwrap_or(Path::new("")).join(name);
        Self { registry: beside("canaries.txt"), key: beside("canary.key"), declared: false }
    }

    fn registry(&self) -> Result<Registry, Failure> {
        match fs::read_to_string(&self.registry) {
            Ok(text) => Registry::parse(&text)
                .map_err(|error| Failure::because(format!("{}: {error}", self.registry.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Registry::default()),
            Err(error) => Err(cannot("read", &self.registry, &error)),
        }
    }

    /// The key; made where there is none and `make` says so.
    fn key(&self, make: bool) -> Result<CanaryKey, Failure> {
        let text = match fs::read(&self.key) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
                let mut bytes = [0; 32];
                fs::File::open("/dev/urandom")
                    .and_then(|mut random| random.read_exact(&mut bytes))
                    .map_err(|error| Failure::because(format!("no random bytes: {}", plain(&error))))?;
                let text = hex(&bytes) + "\n";
                fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&self.key)
                    .and_then(|mut file| file.write_all(text.as_bytes()))
                    .map_err(|error| cannot("write", &self.key, &error))?;
                text.into_bytes()
            }
            Err(error) => return Err(cannot("read", &self.key, &error)),
        };
        CanaryKey::parse(&text)
            .ok_or_else(|| Failure::because(format!("{} does not hold 64 hexadecimal digits", self.key.display())))
    }

    /// Replaces the registry whole.
    fn write(&self, registry: &Registry) -> Done {
        let home = self.registry.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || {
            let mut file = tempfile::Builder::new().prefix(".portcullis-").tempfile_in(home)?;
            file.write_all(b"# Canaries: what does not exist and nobody should see. It holds no value of theirs.\n")?;
            file.write_all(registry.to_string().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.registry).map_err(|error| error.error).map(drop)
        };
        write().map_err(|error| cannot("write", &self.registry, &error))
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("cannot {what} {}: {}", path.display(), plain(error)))
}

fn today() -> String {
    moment::speak(moment::now()).get(..10).unwrap_or_default().to_owned()
}

fn new(flags: &NewCanary) -> Done {
    let place = Place::of(&flags.config)?;
    let kind = match (flags.kind, &flags.domain) {
        (CanaryKind::Member, Some(domain)) => EntryKind::Member { domain: domain.clone() },
        (CanaryKind::Member, None) => {
            return Err(Failure::because(
                "a member needs mail: --domain with a domain of your own, so that no address is anybody's",
            ));
        }
        (CanaryKind::Id, _) => EntryKind::Id,
        (CanaryKind::Key, _) => EntryKind::Key { prefix: flags.prefix.clone().unwrap_or_default() },
    };
    let (mut registry, key) = (place.registry()?, place.key(true)?);
    let first = registry.entries().len();
    for _ in 0..flags.count {
        registry.add(kind.clone(), flags.home.clone(), &today());
    }
    // What could not be read again would not be looked for.
    Registry::parse(&registry.to_string())
        .map_err(|error| Failure::because(format!("that cannot be written down: {}", error.words)))?;
    place.write(&registry)?;
    let made = registry.entries().get(first..).unwrap_or_default();
    talk::answer(&table(made, &key))?;
    talk::say(
        "Plant these where nobody should read, and nowhere else; put the change in force with `portcullis reload`.",
    );
    if !place.declared {
        talk::say(&format!(
            "The configuration does not name them yet. In [data]:\n  canaries = \"{}\"\n  canary_key = \"{}\"",
            place.registry.display(),
            place.key.display()
        ));
    }
    Ok(())
}

/// Values, one line each, as a database takes them in.
fn table(entries: &[Entry], key: &CanaryKey) -> String {
    let mut text = String::new();
    let mut head = "";
    for entry in entries {
        let (names, line) = match key.values(entry) {
            Values::Member(member) => (
                "canary,first,last,email,phone,postcode,uuid",
                [member.first, member.last, member.email, member.phone, member.postcode, member.uuid].join(","),
            ),
            Values::Id(uuid) => ("canary,id", uuid),
            Values::Key(key) => ("canary,key", key),
        };
        if names != head {
            let _ = writeln!(text, "{names}");
            head = names;
        }
        let _ = writeln!(text, "{},{line}", entry.id);
    }
    text
}

fn list(flags: &ListCanaries) -> Done {
    let canaries = match Far::of(&flags.far, &flags.config, None)? {
        Some(_) if flags.values => {
            return Err(Failure::because(
                "what a canary is worth is its secret: values are printed on the gate's own machine alone",
            ));
        }
        Some(far) => far.get::<CanaryBook>("/api/v1/data/canaries")?.canaries,
        None => {
            let place = Place::of(&flags.config)?;
            let registry = place.registry()?;
            if flags.values {
                return talk::answer(&table(registry.entries(), &place.key(false)?));
            }
            registry.entries().iter().map(line).collect()
        }
    };
    talk::answer(&listed(&canaries))
}

/// One as programs are told of it, without what was seen of it.
pub(crate) fn line(entry: &Entry) -> CanaryLine {
    let (kind, domain) = match &entry.kind {
        EntryKind::Member { domain } => ("member", domain.clone()),
        EntryKind::Id => ("id", String::new()),
        EntryKind::Key { .. } => ("key", String::new()),
    };
    CanaryLine {
        id: entry.id.to_string(),
        kind: kind.to_owned(),
        domain,
        homes: entry.homes.clone(),
        planted: entry.planted.clone(),
        retired: entry.retired.clone(),
        ..CanaryLine::default()
    }
}

fn listed(canaries: &[CanaryLine]) -> String {
    let mut text = String::new();
    for canary in canaries {
        let CanaryLine { id, kind, domain, homes, planted, retired, .. } = canary;
        let at = if domain.is_empty() { String::new() } else { format!(" at {domain}") };
        let home = if homes.is_empty() { "nowhere".to_owned() } else { homes.join(" ") };
        let retired = retired.as_ref().map_or_else(String::new, |day| format!(", retired {day}"));
        let _ = writeln!(text, "{id}  {kind}{at}, planted {planted}, at home: {home}{retired}");
    }
    if text.is_empty() { "No canaries: `portcullis canary new` makes some.\n".to_owned() } else { text }
}

/// The ways in which a value may be written in what leaves.
const FORMS: [&str; 6] = ["text", "capitals", "JSON escapes", "HTML entities", "URL escapes", "gzip"];

fn test(place: &Place) -> Done {
    let (registry, key) = (place.registry()?, place.key(false)?);
    let canaries = Canaries::new(&registry, &key);
    if canaries.is_empty() {
        return Err(Failure::because("there is no canary to look for"));
    }
    let detector = Detector::new(Kinds::default(), &[], &canaries);
    let (mut text, mut missed) = (String::new(), 0);
    let alive = || registry.entries().iter().filter(|entry| entry.retired.is_none());
    for (number, form) in FORMS.iter().enumerate() {
        let mut met = 0;
        for entry in alive() {
            let value = match key.values(entry) {
                Values::Member(member) => member.email,
                Values::Id(value) | Values::Key(value) => value,
            };
            if is_met(
                &detector,
                entry.id,
                &written(&value, number).map_err(|error| cannot("pack", &place.registry, &error))?,
            ) {
                met += 1;
            } else {
                missed += 1;
                let _ = writeln!(text, "  {} is not recognised in {form}", entry.id);
            }
        }
        let _ = writeln!(text, "{form}: {met} of {}", canaries.len());
    }
    talk::answer(&text)?;
    if missed == 0 { Ok(()) } else { Err(Failure::because(format!("{missed} were not recognised"))) }
}

fn written(value: &str, form: usize) -> io::Result<Vec<u8>> {
    let each = |write: fn(u8) -> String| value.bytes().map(write).collect::<String>().into_bytes();
    Ok(match form {
        0 => value.as_bytes().to_vec(),
        1 => value.to_uppercase().into_bytes(),
        2 => each(|byte| format!("\\u{byte:04x}")),
        3 => each(|byte| format!("&#{byte};")),
        4 => each(|byte| format!("%{byte:02X}")),
        _ => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packed.write_all(value.as_bytes())?;
            packed.finish()?
        }
    })
}

struct Met(CanaryId, bool);

impl Findings for Met {
    fn found(&mut self, _: &Found<'_>) {}

    fn canary(&mut self, id: CanaryId, _: (u64, u64)) {
        self.1 |= id == self.0;
    }
}

fn is_met(detector: &Detector, id: CanaryId, body: &[u8]) -> bool {
    let (mut met, mut scanner) = (Met(id, false), Scanner::default());
    let mut scan = Scan { detector, scanner: &mut scanner, findings: &mut met };
    let mut reader = Reader::new(Codings::none(), Bounds::default());
    let read = reader.push(body, &mut scan).and_then(|()| reader.finish(&mut scan));
    read.is_ok() && met.1
}

fn retire(place: &Place, ids: &[String]) -> Done {
    let mut registry = place.registry()?;
    for id in ids {
        let number = id.trim_start_matches("c-").parse().ok().map(CanaryId);
        if !number.is_some_and(|number| registry.retire(number, &today())) {
            return Err(Failure::because(format!("there is no canary {id} that is not retired; nothing was changed")));
        }
    }
    place.write(&registry)?;
    talk::answer(&format!("Retired: {}. Put it in force with `portcullis reload`.\n", ids.join(", ")))
}
