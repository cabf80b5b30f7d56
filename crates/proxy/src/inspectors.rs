//! What messages are inspected for, compiled: for each route its detector and its rules, shared where they are the same.

use std::sync::{Arc, Mutex};

use portcullis_config::{Beyond, Excluded, Exclusion, Inspection, InspectionMode, Policy, Sensitivity, Waf};
use portcullis_waf::seclang::{Collections, Pool, Program};
use portcullis_waf::semantic::{Class, Detector, Sensitivity as Points, Settings, Target};

use crate::rulebook;

/// What one route is inspected for.
#[derive(Debug)]
pub struct Inspector {
    /// The gate's own detection, and whether it acts.
    pub detection: Option<(Detector, bool)>,
    /// The declared rules.
    pub program: Option<Arc<Program>>,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// A longer body is refused.
    pub refuses_beyond: bool,
    /// The work for one message.
    pub steps: u64,
    /// A message whose inspection cannot end is refused.
    pub closed: bool,
}

/// The inspectors of a policy.
#[derive(Debug)]
pub(crate) struct Inspectors {
    routes: Vec<Vec<Arc<Inspector>>>,
    /// What rules remember of addresses, sessions and the like, from one policy to the next.
    collections: Arc<Mutex<Collections>>,
}

impl Inspectors {
    /// Compiles a policy. Programs of the one before are kept where nothing in them changed.
    pub(crate) fn compile(policy: &Policy, before: Option<(&Policy, &Self)>) -> Result<Self, String> {
        let mut known: Vec<(Inspection, Arc<Inspector>)> = Vec::new();
        if let Some((old, inspectors)) = before
            && old.waf == policy.waf
        {
            for (platform, compiled) in old.platforms.iter().zip(&inspectors.routes) {
                for (route, inspector) in platform.routes.iter().zip(compiled) {
                    remember(&mut known, &route.inspection, inspector);
                }
            }
        }
        // Platforms that differ in levels and exclusions share what their rules have in common.
        let mut pool =
            before.map_or_else(Pool::default, |(_, inspectors)| Pool::remembering(Arc::clone(&inspectors.collections)));
        let mut routes = Vec::with_capacity(policy.platforms.len());
        for platform in &policy.platforms {
            let mut compiled = Vec::with_capacity(platform.routes.len());
            for route in &platform.routes {
                let same = known.iter().find(|(inspection, _)| *inspection == route.inspection);
                let inspector = match same {
                    Some((_, inspector)) => Arc::clone(inspector),
                    None => {
                        let shared = known.iter().find(|(inspection, _)| same_rules(inspection, &route.inspection));
                        let program = shared.and_then(|(_, inspector)| inspector.program.clone());
                        let made = inspector_with(&policy.waf, &route.inspection, program, &mut pool);
                        Arc::new(made.map_err(|words| format!("{}{}: {words}", platform.name, route.path))?)
                    }
                };
                remember(&mut known, &route.inspection, &inspector);
                compiled.push(inspector);
            }
            routes.push(compiled);
        }
        Ok(Self { routes, collections: pool.collections() })
    }

    /// That of a route. Platform and route come from the same policy's router.
    pub(crate) fn of(&self, (platform, route): (usize, usize)) -> Option<&Arc<Inspector>> {
        self.routes.get(platform)?.get(route)
    }
}

fn remember(known: &mut Vec<(Inspection, Arc<Inspector>)>, inspection: &Inspection, inspector: &Arc<Inspector>) {
    if !known.iter().any(|(other, _)| other == inspection) {
        known.push((inspection.clone(), Arc::clone(inspector)));
    }
}

/// Whether two routes run the same program.
fn same_rules(one: &Inspection, other: &Inspection) -> bool {
    let key = |it: &Inspection| {
        let levels = (it.paranoia, it.detection_paranoia, it.inbound_threshold, it.outbound_threshold);
        let exclude: Vec<_> =
            it.exclude.iter().filter(|one| !matches!(one.what, Excluded::Family(_))).cloned().collect();
        (it.rules, levels, exclude)
    };
    key(one) == key(other)
}

/// What a route is inspected for, with the program of another that has the same rules.
///
/// # Errors
/// What is wrong with the rules, in words: nothing, where the configuration was checked.
pub fn inspector(waf: &Waf, inspection: &Inspection, shared: Option<Arc<Program>>) -> Result<Inspector, String> {
    inspector_with(waf, inspection, shared, &mut Pool::default())
}

fn inspector_with(
    waf: &Waf,
    inspection: &Inspection,
    shared: Option<Arc<Program>>,
    pool: &mut Pool,
) -> Result<Inspector, String> {
    let program = match (&waf.rules, inspection.rules, shared) {
        (None, ..) | (_, InspectionMode::Off, _) => None,
        (Some(_), _, Some(shared)) => Some(shared),
        (Some(files), _, None) => Some(Arc::new(rulebook::program(files, inspection, pool)?)),
    };
    let detection = (inspection.detection != InspectionMode::Off).then(|| {
        let sensitivity = match inspection.sensitivity {
            Sensitivity::Low => Points::Low,
            Sensitivity::Medium => Points::Normal,
            Sensitivity::High => Points::High,
        };
        let mut settings = Settings { sensitivity, ..Settings::default() };
        left_out(inspection, &mut settings)?;
        Ok::<_, String>((Detector::new(settings), inspection.detection == InspectionMode::Enforce))
    });
    let detection = detection.transpose()?;
    Ok(Inspector {
        detection,
        program,
        body_bytes: usize::try_from(inspection.body_bytes).unwrap_or(usize::MAX),
        refuses_beyond: inspection.beyond == Beyond::Refuse,
        steps: waf.steps,
        closed: waf.fail == Beyond::Refuse,
    })
}

/// Takes over which classes are left out everywhere, and which of some values.
fn left_out(inspection: &Inspection, settings: &mut Settings) -> Result<(), String> {
    for exclusion in &inspection.exclude {
        let Excluded::Family(name) = &exclusion.what else { continue };
        let class = class(name)?;
        match &exclusion.target {
            None => settings.allowed.push(class),
            Some(target) => settings.left_out.push((class, Target::parse(target)?)),
        }
    }
    Ok(())
}

/// Compiles what a policy inspects for, and lets go of it: whether it can be put in force.
///
/// # Errors
/// What is wrong with its rules, for one route after the other, in words.
pub fn check(policy: &Policy) -> Result<(), String> {
    Inspectors::compile(policy, None).map(drop)
}

/// The family of that name.
///
/// # Errors
/// Says that there is none, and which there are.
pub fn class(name: &str) -> Result<Class, String> {
    Class::ALL.iter().copied().find(|class| class.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
        format!("the gate's own detection has no family `{name}`; it has {}", names.join(", "))
    })
}

/// What is wrong with an exclusion, as far as can be told without the rules that it is about.
///
/// # Errors
/// In words.
pub fn check_exclusion(exclusion: &Exclusion) -> Result<(), String> {
    let target = exclusion.target.as_deref();
    match &exclusion.what {
        Excluded::Family(name) => {
            class(name)?;
            target.map_or(Ok(()), |target| Target::parse(target).map(drop))
        }
        Excluded::Rules(..) | Excluded::Tag(_) => {
            target.map_or(Ok(()), |text| portcullis_waf::seclang::target(text).map(drop))
        }
    }
}

impl Inspector {
    /// Whether there is nothing to look for.
    pub(crate) const fn is_idle(&self) -> bool {
        self.detection.is_none() && self.program.is_none()
    }
}
