//! Functions and statements that are refused unless granted: which kind each is.
//!
//! By the name alone, in any schema: a wrapper of the same name elsewhere is at least suspect.

use portcullis_pgguard::description::Kind;

/// The kind that a function is of, by its name as the server folds it.
pub(crate) fn function(name: &str) -> Option<Kind> {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    let is = |names: &[&str]| names.contains(&name);
    if begins(&["pg_read_", "pg_ls_", "pg_file_"]) || is(&["pg_stat_file", "pg_logdir_ls", "pg_current_logfile"]) {
        return Some(Kind::ServerFile);
    }
    if begins(&["lo_"]) || is(&["loread", "lowrite"]) {
        return Some(Kind::LargeObject);
    }
    if begins(&["dblink"]) {
        return Some(Kind::Dblink);
    }
    if ends(&["_to_xml", "_to_xmlschema", "_to_xml_and_xmlschema"])
        || begins(&["crosstab", "connectby", "xpath_table"])
        || is(&["ts_stat", "ts_rewrite"])
    {
        return Some(Kind::TextAsSql);
    }
    let steers = begins(&["pg_logical_", "pg_replication_", "pg_wal_replay_", "pg_backup_", "pg_sync_"])
        || ends(&["_replication_slot"])
        || is(&[
            "pg_terminate_backend",
            "pg_cancel_backend",
            "pg_reload_conf",
            "pg_rotate_logfile",
            "pg_switch_wal",
            "pg_create_restore_point",
            "pg_start_backup",
            "pg_stop_backup",
            "pg_promote",
            "pg_import_system_collations",
            "pg_log_backend_memory_contexts",
            "pg_stat_reset",
            "pg_stat_statements_reset",
        ]);
    steers.then_some(Kind::Administration)
}

/// Whether the constants among a function's arguments are a program of their own: where they point decides what is read.
pub(crate) fn reads_by_text(name: &str) -> bool {
    name.starts_with("jsonb_path_")
        || name.starts_with("jsonb_extract_path")
        || name.starts_with("json_extract_path")
        || name.starts_with("xpath")
        || matches!(name, "current_setting" | "to_regclass" | "to_regproc" | "nextval" | "currval" | "setval")
}

/// Whether a function looks for its second argument, or what fits it, in its first: operators of patterns by another name.
pub(crate) fn takes_a_pattern(name: &str) -> bool {
    name.starts_with("regexp_")
        || matches!(name, "starts_with" | "strpos" | "position" | "like" | "notlike" | "like_escape")
        || [
            "textlike",
            "texticlike",
            "namelike",
            "nameiclike",
            "bpcharlike",
            "bpchariclike",
            "textregexeq",
            "texticregexeq",
        ]
        .contains(&name)
}

/// The kind that a statement is of, whatever it says, by the name of its node.
pub(crate) fn statement(node: &str) -> Option<Kind> {
    Some(match node {
        "DoStmt" => Kind::Do,
        "AlterSystemStmt" => Kind::AlterSystem,
        "LoadStmt" => Kind::Load,
        "CreateExtensionStmt" | "AlterExtensionStmt" | "AlterExtensionContentsStmt" => Kind::Extension,
        "CreatePLangStmt" => Kind::Language,
        "CreateFdwStmt"
        | "AlterFdwStmt"
        | "CreateForeignServerStmt"
        | "AlterForeignServerStmt"
        | "CreateForeignTableStmt"
        | "CreateUserMappingStmt"
        | "AlterUserMappingStmt"
        | "DropUserMappingStmt"
        | "ImportForeignSchemaStmt" => Kind::ForeignData,
        "CreateSubscriptionStmt" | "AlterSubscriptionStmt" | "DropSubscriptionStmt" => Kind::Dblink,
        "CreateFunctionStmt"
        | "AlterFunctionStmt"
        | "CreateTrigStmt"
        | "CreateEventTrigStmt"
        | "AlterEventTrigStmt"
        | "RuleStmt"
        | "CreateCastStmt"
        | "CreateTransformStmt"
        | "CreateConversionStmt"
        | "CreateOpClassStmt"
        | "CreateOpFamilyStmt"
        | "AlterOpFamilyStmt"
        | "AlterOperatorStmt"
        | "DefineStmt"
        | "CreateAmStmt" => Kind::Routine,
        "GrantStmt"
        | "GrantRoleStmt"
        | "AlterDefaultPrivilegesStmt"
        | "CreateRoleStmt"
        | "AlterRoleStmt"
        | "AlterRoleSetStmt"
        | "AlterDatabaseSetStmt"
        | "AlterOwnerStmt"
        | "ReassignOwnedStmt"
        | "CreatePolicyStmt"
        | "AlterPolicyStmt"
        | "SecLabelStmt" => Kind::Rights,
        "DropStmt" | "DropdbStmt" | "DropOwnedStmt" | "DropRoleStmt" | "DropTableSpaceStmt" => Kind::Drop,
        "TruncateStmt" => Kind::Truncate,
        "CreatePublicationStmt" | "AlterPublicationStmt" | "CheckPointStmt" => Kind::Administration,
        _ => return None,
    })
}
