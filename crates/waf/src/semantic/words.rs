//! The words that grammars know, each with what it is to whom.
//!
//! A word says nothing alone: it decides which lexers look, and what a word in their position means. The table is built at
//! compile time; to look a word up costs one hash over its bytes, and a gate on its first eight letters spares most of that.

/// What a word is; one bit each, a word may be several things.
pub(super) type Kinds = u32;

/// Begins a statement of SQL.
pub(super) const SQL_VERB: Kinds = 1;
/// Joins conditions.
pub(super) const SQL_AND: Kinds = 1 << 1;
/// Any other reserved word of SQL.
pub(super) const SQL_WORD: Kinds = 1 << 2;
/// A function or procedure whose only use in a request is to wait, to reach files or the network, or to show by errors.
pub(super) const SQL_DEED: Kinds = 1 << 3;
/// An ordinary function of SQL.
pub(super) const SQL_FUNCTION: Kinds = 1 << 4;
/// A table or a variable of the database itself.
pub(super) const SQL_SYSTEM: Kinds = 1 << 5;
/// Any word of SQL.
pub(super) const SQL: Kinds = SQL_VERB | SQL_AND | SQL_WORD | SQL_DEED | SQL_FUNCTION | SQL_SYSTEM;
/// A command that is no English word.
pub(super) const COMMAND: Kinds = 1 << 6;
/// A command that is also a word, or too short to tell.
pub(super) const COMMAND_WEAK: Kinds = 1 << 7;
/// A command of Windows, in upper and lower case alike.
pub(super) const COMMAND_WINDOWS: Kinds = 1 << 8;
/// A function of the browser that runs code or proves that it ran.
pub(super) const SCRIPT_SINK: Kinds = 1 << 9;
/// A global object of the browser.
pub(super) const SCRIPT_GLOBAL: Kinds = 1 << 10;
/// Another name that scripts in attacks use.
pub(super) const SCRIPT_NAME: Kinds = 1 << 11;
/// An element of HTML that runs or loads code.
pub(super) const ELEMENT: Kinds = 1 << 12;
/// A scheme that runs code or reaches what the visitor cannot.
pub(super) const SCHEME: Kinds = 1 << 13;
/// A function of a server's language that runs code or commands.
pub(super) const CODE_SINK: Kinds = 1 << 14;
/// A class, module or object of a server's language that leads there.
pub(super) const CODE_NAME: Kinds = 1 << 15;
/// A file or directory whose content is worth stealing.
pub(super) const FILE: Kinds = 1 << 16;
/// `on…`: perhaps an event handler.
pub(super) const EVENT: Kinds = 1 << 17;
/// An operator of a document database, without its dollar.
pub(super) const NOSQL: Kinds = 1 << 19;
/// A function or an axis of XPath, an attribute or a rule of LDAP.
pub(super) const DIRECTORY: Kinds = 1 << 20;
/// A header that a split response would carry.
pub(super) const HEADER: Kinds = 1 << 21;
/// Part of an object as some program writes it down.
pub(super) const OBJECT: Kinds = 1 << 22;

/// Longest word of the table.
const WORD_BYTES_MAX: usize = 32;

const SLOTS: usize = 4096;

struct Table {
    /// One bit for each hash of a beginning that scanning stops for, and of every beginning.
    gate: [u64; 1024],
    all: [u64; 1024],
    /// Beginnings of words, where their hashes put them; 0 is empty.
    keys: [u64; SLOTS],
    /// What the words are that begin so.
    known: [Kinds; SLOTS],
    /// One more than a position in the list of words; 0 is empty.
    slots: [u16; SLOTS],
}

static TABLE: Table = build();

impl Table {
    /// Adds a beginning, and what a word is that begins so; `stops` says whether scanning stops for it.
    const fn with(mut self, key: u64, kinds: Kinds, stops: bool) -> Self {
        let place = place(key);
        let mut slot = place % SLOTS;
        while self.keys[slot] != 0 && self.keys[slot] != key {
            slot = (slot + 1) % SLOTS;
        }
        self.keys[slot] = key;
        self.known[slot] |= kinds;
        self.all[place / 64] |= 1 << (place % 64);
        if stops {
            self.gate[place / 64] |= 1 << (place % 64);
        }
        self
    }
}

/// What a word is, in upper and lower case alike; 0 when nobody knows it.
pub(super) fn kinds(word: &[u8]) -> Kinds {
    if word.len() < 2 || word.len() > WORD_BYTES_MAX {
        return 0;
    }
    super::steps::add(word.len());
    let key = match word.first_chunk::<8>() {
        Some(first) => u64::from_le_bytes(*first) | 0x2020_2020_2020_2020,
        None => word.iter().rev().fold(0, |key, byte| key << 8 | u64::from(byte | 0x20)),
    };
    let place = place(key);
    if TABLE.all.get(place / 64).is_none_or(|bits| bits >> (place % 64) & 1 == 0) {
        return 0;
    }
    let known = entry(key, place);
    match word.len() {
        ..=8 => known & !(LONG | DASHED),
        _ if known & LONG != 0 => whole(word),
        _ => 0,
    }
}

/// What a word of any length is.
#[inline(never)]
fn whole(word: &[u8]) -> Kinds {
    let mut slot = hash(word) as usize % SLOTS;
    loop {
        let Some(entry) = TABLE.slots.get(slot).and_then(|at| usize::from(*at).checked_sub(1)) else { return 0 };
        match WORDS.get(entry) {
            Some((known, kinds)) if known.as_bytes().eq_ignore_ascii_case(word) => return *kinds,
            _ => slot = (slot + 1) % SLOTS,
        }
    }
}

/// What the word is that begins with these bytes, whose letters are in lower case and whose bytes behind the word are 0: all
/// of it where it is no longer than eight. Also [`LONG`] and [`DASHED`], which say that there is more to look at.
#[inline(always)]
pub(super) fn beginning(key: u64) -> Kinds {
    let place = place(key);
    if TABLE.gate.get(place / 64).is_none_or(|bits| bits >> (place % 64) & 1 == 0) { 0 } else { entry(key, place) }
}

#[inline(never)]
fn entry(key: u64, place: usize) -> Kinds {
    let mut slot = place % SLOTS;
    loop {
        match (TABLE.keys.get(slot), TABLE.known.get(slot)) {
            (Some(known), Some(kinds)) if *known == key => return *kinds,
            (Some(0), _) | (None, _) | (_, None) => return 0,
            _ => slot = (slot + 1) % SLOTS,
        }
    }
}

/// Of the beginning of a word: some word of more than eight letters begins so.
pub(super) const LONG: Kinds = 1 << 30;
/// Of the beginning of a word: some word that has a dash begins so, before the dash.
pub(super) const DASHED: Kinds = 1 << 31;

/// 16 bits of a hash over a beginning.
const fn place(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize
}

/// Words of every sentence. Grammars know them, but no scan stops for them.
const COMMON: &[&str] = &[
    "in", "is", "as", "on", "by", "to", "not", "all", "some", "any", "then", "when", "end", "like", "text", "more",
    "time", "last", "this", "new", "first", "which", "less", "right", "left", "space", "index", "test", "date",
];

const fn is_common(word: &[u8]) -> bool {
    let mut entry = 0;
    while entry < COMMON.len() {
        let common = COMMON[entry].as_bytes();
        let mut at = 0;
        while at < common.len() && at < word.len() && common[at] == word[at] {
            at += 1;
        }
        if at == common.len() && at == word.len() {
            return true;
        }
        entry += 1;
    }
    false
}

const fn hash(word: &[u8]) -> u32 {
    let mut hash = 0x811C_9DC5_u32;
    let mut at = 0;
    while at < word.len() {
        hash = (hash ^ word[at].to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash ^ hash >> 15
}

const fn build() -> Table {
    let mut table = Table { gate: [0; 1024], all: [0; 1024], keys: [0; SLOTS], known: [0; SLOTS], slots: [0; SLOTS] };
    let mut entry = 0;
    while entry < WORDS.len() {
        let (text, kinds) = WORDS[entry];
        let word = text.as_bytes();
        let mut key = 0;
        let mut at = 0;
        while at < word.len() && (word[at].is_ascii_alphanumeric() || word[at] == b'_') {
            if at < 8 {
                key |= ((word[at] | 0x20) as u64) << (8 * at);
            }
            at += 1;
        }
        let mut beginning = if at > 8 || at == 8 && at < word.len() { LONG } else { 0 };
        if at < word.len() {
            beginning |= DASHED;
        } else if at <= 8 {
            beginning = kinds;
        }
        table = table.with(key, beginning, !is_common(word));
        // With its dash and what stands behind, it is looked up as one word, too.
        if at < word.len() && at < 8 {
            while at < 8 {
                key |= ((word[at] | 0x20) as u64) << (8 * at);
                at += 1;
            }
            table = table.with(key, LONG, false);
        }
        let mut slot = hash(word) as usize % SLOTS;
        while table.slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table.slots[slot] = (entry + 1) as u16;
        entry += 1;
    }
    table
}

/// Words with what they are. Sources: the reserved words and functions in the manuals of `MySQL` 8, `PostgreSQL` 16, SQL
/// Server, Oracle, `SQLite` and Db2; POSIX utilities and those of Windows; the HTML standard's elements; the classes and
/// functions that the advisories behind the virtual patches name.
#[rustfmt::skip]
const WORDS: &[(&str, Kinds)] = &[
    // SQL: statements
    ("select", SQL_VERB), ("union", SQL_VERB), ("insert", SQL_VERB), ("update", SQL_VERB), ("delete", SQL_VERB),
    ("drop", SQL_VERB), ("alter", SQL_VERB), ("create", SQL_VERB), ("truncate", SQL_VERB), ("exec", SQL_VERB | CODE_SINK),
    ("execute", SQL_VERB | CODE_SINK), ("declare", SQL_VERB), ("waitfor", SQL_VERB), ("shutdown", SQL_VERB | COMMAND_WINDOWS | COMMAND_WEAK),
    ("backup", SQL_VERB), ("restore", SQL_VERB), ("grant", SQL_VERB), ("revoke", SQL_VERB), ("merge", SQL_VERB),
    ("replace", SQL_VERB | SQL_FUNCTION | COMMAND_WINDOWS), ("handler", SQL_VERB), ("load", SQL_VERB), ("attach", SQL_VERB),
    ("bulk", SQL_VERB), ("begin", SQL_VERB), ("prepare", SQL_VERB), ("kill", SQL_VERB | COMMAND_WEAK), ("rename", SQL_VERB | COMMAND_WINDOWS),
    // SQL: between conditions and clauses
    ("or", SQL_AND), ("and", SQL_AND), ("xor", SQL_AND), ("having", SQL_AND), ("where", SQL_AND | COMMAND_WINDOWS),
    ("from", SQL_WORD), ("all", SQL_WORD), ("distinct", SQL_WORD), ("into", SQL_WORD), ("outfile", SQL_WORD), ("dumpfile", SQL_WORD),
    ("order", SQL_WORD), ("group", SQL_WORD | FILE), ("by", SQL_WORD), ("limit", SQL_WORD), ("offset", SQL_WORD), ("like", SQL_WORD),
    ("rlike", SQL_WORD), ("regexp", SQL_WORD), ("glob", SQL_WORD | SCHEME), ("ilike", SQL_WORD), ("between", SQL_WORD), ("in", SQL_WORD), ("is", SQL_WORD),
    ("not", SQL_WORD), ("null", SQL_WORD), ("true", SQL_WORD), ("false", SQL_WORD), ("exists", SQL_WORD), ("case", SQL_WORD),
    ("when", SQL_WORD), ("then", SQL_WORD), ("else", SQL_WORD), ("end", SQL_WORD), ("as", SQL_WORD), ("join", SQL_WORD),
    ("on", SQL_WORD), ("procedure", SQL_WORD), ("table", SQL_WORD), ("database", SQL_WORD | SQL_FUNCTION), ("schema", SQL_WORD | SQL_FUNCTION), ("view", SQL_WORD),
    ("index", SQL_WORD), ("values", SQL_WORD), ("set", SQL_WORD | COMMAND_WINDOWS), ("div", SQL_WORD), ("mod", SQL_WORD), ("delay", SQL_WORD), ("infile", SQL_WORD),
    ("data", SQL_WORD | SCHEME), ("any", SQL_WORD), ("some", SQL_WORD), ("sounds", SQL_WORD), ("escape", SQL_WORD), ("collate", SQL_WORD),
    ("intersect", SQL_WORD), ("except", SQL_WORD), ("minus", SQL_WORD), ("row", SQL_WORD | SQL_FUNCTION), ("top", SQL_WORD | SCRIPT_GLOBAL | COMMAND_WEAK), ("isnull", SQL_WORD | SQL_FUNCTION),
    ("notnull", SQL_WORD), ("binary", SQL_WORD), ("cursor", SQL_WORD), ("trigger", SQL_WORD), ("function", SQL_WORD | SCRIPT_NAME | SCRIPT_SINK), ("login", SQL_WORD),
    ("user", SQL_WORD | SQL_FUNCTION), ("member", SQL_WORD), ("column", SQL_WORD), ("password", SQL_WORD),
    // SQL: functions that wait, reach out or show by errors
    ("sleep", SQL_DEED | COMMAND_WEAK), ("benchmark", SQL_DEED), ("pg_sleep", SQL_DEED), ("pg_sleep_for", SQL_DEED), ("randomblob", SQL_DEED), ("zeroblob", SQL_DEED),
    ("load_file", SQL_DEED), ("extractvalue", SQL_DEED), ("updatexml", SQL_DEED), ("xmltype", SQL_DEED), ("xp_cmdshell", SQL_DEED),
    ("xp_dirtree", SQL_DEED), ("xp_fileexist", SQL_DEED), ("xp_regread", SQL_DEED), ("xp_subdirs", SQL_DEED), ("sp_executesql", SQL_DEED),
    ("sp_oacreate", SQL_DEED), ("sp_configure", SQL_DEED), ("openrowset", SQL_DEED), ("opendatasource", SQL_DEED), ("dbms_pipe", SQL_DEED),
    ("dbms_lock", SQL_DEED), ("dbms_ldap", SQL_DEED), ("dbms_java", SQL_DEED), ("dbms_java_test", SQL_DEED), ("dbms_xslprocessor", SQL_DEED), ("dbms_session", SQL_DEED), ("utl_http", SQL_DEED),
    ("utl_inaddr", SQL_DEED), ("utl_file", SQL_DEED), ("utl_smtp", SQL_DEED), ("utl_tcp", SQL_DEED), ("httpuritype", SQL_DEED), ("ctxsys", SQL_DEED),
    ("name_const", SQL_DEED), ("generate_series", SQL_DEED), ("lo_import", SQL_DEED), ("lo_export", SQL_DEED), ("pg_read_file", SQL_DEED),
    ("pg_ls_dir", SQL_DEED), ("pg_stat_file", SQL_DEED), ("dblink", SQL_DEED), ("dblink_connect", SQL_DEED), ("query_to_xml", SQL_DEED), ("database_to_xml", SQL_DEED),
    ("gtid_subset", SQL_DEED), ("exp", SQL_FUNCTION), ("load_extension", SQL_DEED), ("sys_eval", SQL_DEED), ("sys_exec", SQL_DEED), ("get_lock", SQL_DEED), ("receive_message", SQL_DEED),
    ("is_free_lock", SQL_DEED), ("fn_xe_file_target_read_file", SQL_DEED), ("fn_trace_gettable", SQL_DEED), ("sqlite_compileoption_get", SQL_DEED),
    // SQL: ordinary functions
    ("ascii", SQL_FUNCTION), ("ord", SQL_FUNCTION), ("char", SQL_FUNCTION), ("chr", SQL_FUNCTION), ("nchar", SQL_FUNCTION), ("concat", SQL_FUNCTION), ("concat_ws", SQL_FUNCTION),
    ("group_concat", SQL_FUNCTION), ("string_agg", SQL_FUNCTION), ("listagg", SQL_FUNCTION), ("xmlagg", SQL_FUNCTION), ("xmlrow", SQL_FUNCTION), ("json_agg", SQL_FUNCTION),
    ("substring", SQL_FUNCTION | DIRECTORY), ("substr", SQL_FUNCTION), ("mid", SQL_FUNCTION), ("left", SQL_FUNCTION), ("right", SQL_FUNCTION), ("instr", SQL_FUNCTION), ("locate", SQL_FUNCTION),
    ("length", SQL_FUNCTION), ("len", SQL_FUNCTION), ("lower", SQL_FUNCTION), ("upper", SQL_FUNCTION), ("hex", SQL_FUNCTION), ("unhex", SQL_FUNCTION), ("lpad", SQL_FUNCTION), ("rpad", SQL_FUNCTION),
    ("count", SQL_FUNCTION | DIRECTORY), ("sum", SQL_FUNCTION), ("min", SQL_FUNCTION), ("max", SQL_FUNCTION), ("avg", SQL_FUNCTION), ("floor", SQL_FUNCTION), ("rand", SQL_FUNCTION), ("round", SQL_FUNCTION),
    ("if", SQL_FUNCTION | SQL_WORD), ("iif", SQL_FUNCTION), ("ifnull", SQL_FUNCTION), ("nullif", SQL_FUNCTION), ("coalesce", SQL_FUNCTION), ("nvl", SQL_FUNCTION), ("decode", SQL_FUNCTION), ("elt", SQL_FUNCTION),
    ("field", SQL_FUNCTION), ("make_set", SQL_FUNCTION), ("export_set", SQL_FUNCTION), ("cast", SQL_FUNCTION), ("convert", SQL_FUNCTION), ("md5", SQL_FUNCTION), ("sha1", SQL_FUNCTION), ("sha2", SQL_FUNCTION),
    ("now", SQL_FUNCTION), ("version", SQL_FUNCTION | FILE), ("current_user", SQL_FUNCTION | SQL_SYSTEM), ("session_user", SQL_FUNCTION | SQL_SYSTEM), ("system_user", SQL_FUNCTION | SQL_SYSTEM),
    ("current_database", SQL_FUNCTION | SQL_SYSTEM), ("current_schema", SQL_FUNCTION | SQL_SYSTEM), ("current_setting", SQL_FUNCTION | SQL_SYSTEM), ("db_name", SQL_FUNCTION | SQL_SYSTEM), ("user_name", SQL_FUNCTION), ("host_name", SQL_FUNCTION),
    ("db_id", SQL_FUNCTION), ("object_id", SQL_FUNCTION), ("col_name", SQL_FUNCTION), ("is_srvrolemember", SQL_FUNCTION | SQL_SYSTEM), ("to_char", SQL_FUNCTION), ("to_number", SQL_FUNCTION), ("to_base64", SQL_FUNCTION),
    ("from_base64", SQL_FUNCTION), ("reverse", SQL_FUNCTION), ("repeat", SQL_FUNCTION), ("space", SQL_FUNCTION), ("quote", SQL_FUNCTION), ("typeof", SQL_FUNCTION | SCRIPT_NAME), ("unicode", SQL_FUNCTION), ("trim", SQL_FUNCTION),
    ("row_number", SQL_FUNCTION), ("json_extract", SQL_FUNCTION), ("strcmp", SQL_FUNCTION), ("find_in_set", SQL_FUNCTION), ("bit_count", SQL_FUNCTION), ("pow", SQL_FUNCTION), ("power", SQL_FUNCTION), ("sqrt", SQL_FUNCTION), ("polygon", SQL_FUNCTION), ("geometrycollection", SQL_FUNCTION), ("multipoint", SQL_FUNCTION), ("linestring", SQL_FUNCTION), ("st_latfromgeohash", SQL_DEED),
    // SQL: the database's own
    ("information_schema", SQL_SYSTEM), ("sysobjects", SQL_SYSTEM), ("syscolumns", SQL_SYSTEM), ("sysusers", SQL_SYSTEM), ("sysdatabases", SQL_SYSTEM), ("syslogins", SQL_SYSTEM), ("sysservers", SQL_SYSTEM),
    ("sqlite_master", SQL_SYSTEM), ("sqlite_schema", SQL_SYSTEM), ("sqlite_version", SQL_SYSTEM | SQL_FUNCTION), ("pg_catalog", SQL_SYSTEM), ("pg_user", SQL_SYSTEM), ("pg_shadow", SQL_SYSTEM), ("pg_group", SQL_SYSTEM), ("pg_tables", SQL_SYSTEM),
    ("pg_class", SQL_SYSTEM), ("pg_database", SQL_SYSTEM), ("pg_roles", SQL_SYSTEM), ("pg_authid", SQL_SYSTEM), ("all_tables", SQL_SYSTEM), ("all_tab_columns", SQL_SYSTEM), ("all_users", SQL_SYSTEM), ("user_tables", SQL_SYSTEM), ("user_tab_columns", SQL_SYSTEM), ("dba_users", SQL_SYSTEM), ("dba_tables", SQL_SYSTEM),
    ("dba_role_privs", SQL_SYSTEM), ("sysibm", SQL_SYSTEM), ("syscat", SQL_SYSTEM), ("sysdummy1", SQL_SYSTEM), ("msysobjects", SQL_SYSTEM), ("msysaces", SQL_SYSTEM), ("performance_schema", SQL_SYSTEM), ("mysql", SQL_SYSTEM | COMMAND),
    ("master", SQL_WORD), ("dual", SQL_WORD), ("schemata", SQL_SYSTEM), ("table_name", SQL_SYSTEM), ("column_name", SQL_SYSTEM), ("table_schema", SQL_SYSTEM), ("rdb", SQL_WORD), ("systables", SQL_SYSTEM),

    // shells: commands that nothing else is called
    ("whoami", COMMAND | COMMAND_WINDOWS), ("wget", COMMAND), ("curl", COMMAND), ("ifconfig", COMMAND), ("ipconfig", COMMAND | COMMAND_WINDOWS), ("netstat", COMMAND | COMMAND_WINDOWS),
    ("nslookup", COMMAND | COMMAND_WINDOWS), ("uname", COMMAND), ("chmod", COMMAND), ("chown", COMMAND), ("chroot", COMMAND), ("traceroute", COMMAND), ("tracert", COMMAND_WINDOWS), ("tcpdump", COMMAND), ("nmap", COMMAND),
    ("ncat", COMMAND), ("netcat", COMMAND), ("socat", COMMAND), ("telnet", COMMAND), ("tftp", COMMAND | SCHEME), ("scp", COMMAND), ("rsync", COMMAND), ("rmdir", COMMAND | COMMAND_WINDOWS), ("mkdir", COMMAND | COMMAND_WINDOWS),
    ("mkfifo", COMMAND), ("mknod", COMMAND), ("useradd", COMMAND), ("adduser", COMMAND), ("usermod", COMMAND), ("userdel", COMMAND), ("crontab", COMMAND | FILE), ("systemctl", COMMAND), ("killall", COMMAND), ("pkill", COMMAND),
    ("xargs", COMMAND), ("printenv", COMMAND), ("dmesg", COMMAND), ("lsof", COMMAND), ("lscpu", COMMAND), ("lsblk", COMMAND), ("tasklist", COMMAND_WINDOWS), ("taskkill", COMMAND_WINDOWS), ("systeminfo", COMMAND_WINDOWS), ("certutil", COMMAND_WINDOWS),
    ("bitsadmin", COMMAND_WINDOWS), ("powershell", COMMAND | COMMAND_WINDOWS), ("pwsh", COMMAND), ("cmd", COMMAND_WINDOWS), ("wmic", COMMAND_WINDOWS), ("rundll32", COMMAND_WINDOWS), ("regsvr32", COMMAND_WINDOWS), ("mshta", COMMAND_WINDOWS), ("cscript", COMMAND_WINDOWS),
    ("wscript", COMMAND_WINDOWS), ("schtasks", COMMAND_WINDOWS), ("icacls", COMMAND_WINDOWS), ("attrib", COMMAND_WINDOWS), ("xcopy", COMMAND_WINDOWS), ("robocopy", COMMAND_WINDOWS), ("vssadmin", COMMAND_WINDOWS), ("iex", COMMAND_WINDOWS), ("iwr", COMMAND_WINDOWS),
    ("busybox", COMMAND), ("gcc", COMMAND), ("gunzip", COMMAND), ("bunzip2", COMMAND), ("openssl", COMMAND), ("sudo", COMMAND), ("nohup", COMMAND), ("setsid", COMMAND), ("awk", COMMAND), ("gawk", COMMAND), ("grep", COMMAND), ("egrep", COMMAND), ("psql", COMMAND), ("mysqldump", COMMAND), ("sqlcmd", COMMAND_WINDOWS),
    ("python", COMMAND_WEAK | OBJECT), ("python2", COMMAND), ("python3", COMMAND), ("perl", COMMAND_WEAK), ("ruby", COMMAND_WEAK | OBJECT), ("php", COMMAND_WEAK | SCHEME | FILE), ("lua", COMMAND_WEAK), ("node", COMMAND_WEAK | DIRECTORY), ("java", COMMAND_WEAK | CODE_NAME),
    ("bash", COMMAND), ("zsh", COMMAND_WEAK), ("ksh", COMMAND), ("csh", COMMAND), ("tcsh", COMMAND), ("ash", COMMAND_WEAK), ("dash", COMMAND_WEAK), ("passwd", COMMAND | FILE), ("ping6", COMMAND), ("dig", COMMAND_WEAK), ("base64", COMMAND_WEAK), ("xxd", COMMAND), ("eject", COMMAND_WEAK),
    // shells: commands that are words, too
    ("id", COMMAND_WEAK), ("ls", COMMAND_WEAK), ("cat", COMMAND_WEAK), ("echo", COMMAND_WEAK | COMMAND_WINDOWS), ("pwd", COMMAND_WEAK), ("ps", COMMAND_WEAK), ("sh", COMMAND_WEAK), ("nc", COMMAND_WEAK), ("rm", COMMAND_WEAK), ("cp", COMMAND_WEAK), ("mv", COMMAND_WEAK), ("cd", COMMAND_WEAK | COMMAND_WINDOWS), ("dd", COMMAND_WEAK), ("df", COMMAND_WEAK), ("du", COMMAND_WEAK), ("ln", COMMAND_WEAK),
    ("dir", COMMAND_WEAK | COMMAND_WINDOWS), ("type", COMMAND_WEAK | COMMAND_WINDOWS | OBJECT), ("del", COMMAND_WINDOWS), ("copy", COMMAND_WINDOWS), ("net", COMMAND_WINDOWS), ("reg", COMMAND_WINDOWS), ("route", COMMAND_WEAK | COMMAND_WINDOWS), ("arp", COMMAND_WEAK | COMMAND_WINDOWS), 
    ("ping", COMMAND_WEAK | COMMAND_WINDOWS), ("head", COMMAND_WEAK | FILE), ("tail", COMMAND_WEAK), ("more", COMMAND_WEAK | COMMAND_WINDOWS), ("less", COMMAND_WEAK), ("sort", COMMAND_WEAK | COMMAND_WINDOWS), ("find", COMMAND_WEAK | COMMAND_WINDOWS), ("test", COMMAND_WEAK), ("time", COMMAND_WEAK), ("date", COMMAND_WEAK), ("who", COMMAND_WEAK), ("env", COMMAND_WEAK | FILE), ("export", COMMAND_WEAK), ("printf", COMMAND_WEAK), ("read", COMMAND_WEAK),
    ("touch", COMMAND_WEAK), ("tar", COMMAND_WEAK), ("zip", COMMAND_WEAK | SCHEME), ("unzip", COMMAND_WEAK), ("gzip", COMMAND_WEAK), ("ftp", COMMAND_WEAK | SCHEME), ("ssh", COMMAND_WEAK), ("su", COMMAND_WEAK), ("sed", COMMAND_WEAK), ("cut", COMMAND_WEAK), ("tr", COMMAND_WEAK), ("wc", COMMAND_WEAK), ("tee", COMMAND_WEAK), ("rev", COMMAND_WEAK), ("tac", COMMAND_WEAK), ("nl", COMMAND_WEAK), ("od", COMMAND_WEAK), ("strings", COMMAND_WEAK), ("file", COMMAND_WEAK | SCHEME), ("stat", COMMAND_WEAK), ("which", COMMAND_WEAK), ("whereis", COMMAND), ("hostname", COMMAND_WEAK | COMMAND_WINDOWS | FILE),
    ("vi", COMMAND_WEAK), ("vim", COMMAND_WEAK), ("nano", COMMAND_WEAK), ("ed", COMMAND_WEAK), ("source", COMMAND_WEAK), ("alias", COMMAND_WEAK), ("history", COMMAND_WEAK), ("uptime", COMMAND_WEAK), ("last", COMMAND_WEAK), ("mail", COMMAND_WEAK), ("sendmail", COMMAND), ("service", COMMAND_WEAK), ("mount", COMMAND_WEAK), ("reboot", COMMAND_WEAK), ("halt", COMMAND_WEAK), ("make", COMMAND_WEAK), ("git", COMMAND_WEAK), ("docker", COMMAND_WEAK), ("kubectl", COMMAND), ("finger", COMMAND_WEAK), ("host", COMMAND_WEAK), ("jobs", COMMAND_WEAK), ("groups", COMMAND_WEAK), ("bg", COMMAND_WEAK), ("fg", COMMAND_WEAK), ("expr", COMMAND_WEAK), ("seq", COMMAND_WEAK), 

    // browsers
    ("alert", SCRIPT_SINK), ("prompt", SCRIPT_SINK), ("confirm", SCRIPT_SINK), ("eval", SCRIPT_SINK | CODE_SINK), ("settimeout", SCRIPT_SINK), ("setinterval", SCRIPT_SINK), ("setimmediate", SCRIPT_SINK), ("execscript", SCRIPT_SINK), ("atob", SCRIPT_SINK), ("fetch", SCRIPT_SINK), ("importscripts", SCRIPT_SINK), ("msgbox", SCRIPT_SINK), ("import", SCRIPT_SINK), ("print", SCRIPT_SINK | CODE_SINK),
    ("window", SCRIPT_GLOBAL), ("document", SCRIPT_GLOBAL), ("self", SCRIPT_GLOBAL | CODE_NAME | FILE), ("parent", SCRIPT_GLOBAL | DIRECTORY), ("frames", SCRIPT_GLOBAL), ("globalthis", SCRIPT_GLOBAL), ("this", SCRIPT_GLOBAL), ("location", SCRIPT_GLOBAL | HEADER), ("navigator", SCRIPT_GLOBAL), ("content", SCRIPT_GLOBAL), ("opener", SCRIPT_GLOBAL), ("localstorage", SCRIPT_GLOBAL), ("sessionstorage", SCRIPT_GLOBAL),
    ("cookie", SCRIPT_NAME), ("domain", SCRIPT_NAME), ("constructor", SCRIPT_NAME | CODE_NAME), ("fromcharcode", SCRIPT_NAME), ("unescape", SCRIPT_NAME), ("innerhtml", SCRIPT_NAME), ("outerhtml", SCRIPT_NAME), ("writeln", SCRIPT_NAME), ("write", SCRIPT_NAME), ("createelement", SCRIPT_NAME), ("appendchild", SCRIPT_NAME), ("__definegetter__", SCRIPT_NAME), ("__proto__", SCRIPT_NAME | CODE_NAME), ("prototype", SCRIPT_NAME | CODE_NAME), ("xmlhttprequest", SCRIPT_NAME), ("reflect", SCRIPT_NAME), ("throw", SCRIPT_NAME), ("onerror", SCRIPT_NAME | EVENT), ("javascript", SCHEME), ("vbscript", SCHEME), ("livescript", SCHEME), ("expression", SCRIPT_NAME), ("binding", SCRIPT_NAME), ("behavior", SCRIPT_NAME), ("jquery", SCRIPT_NAME), ("srcdoc", SCRIPT_NAME), ("new", SCRIPT_NAME), ("var", SCRIPT_NAME), 
    ("script", ELEMENT), ("iframe", ELEMENT), ("frame", ELEMENT), ("frameset", ELEMENT), ("object", ELEMENT | OBJECT), ("embed", ELEMENT), ("applet", ELEMENT), ("svg", ELEMENT), ("math", ELEMENT), ("meta", ELEMENT), ("base", ELEMENT), ("link", ELEMENT), ("style", ELEMENT), ("form", ELEMENT), ("isindex", ELEMENT), ("bgsound", ELEMENT), ("layer", ELEMENT), ("ilayer", ELEMENT), ("portal", ELEMENT), ("animate", ELEMENT), ("template", ELEMENT),
    // schemes and wrappers
    ("gopher", SCHEME), ("dict", SCHEME), ("ldap", SCHEME), ("ldaps", SCHEME), ("rmi", SCHEME), ("iiop", SCHEME), ("corba", SCHEME), ("nis", SCHEME), ("netdoc", SCHEME), ("jar", SCHEME), ("phar", SCHEME), ("expect", SCHEME), ("sftp", SCHEME), ("smb", SCHEME), ("view-source", SCHEME), ("jndi", SCHEME), ("compress", SCHEME), ("ogg", SCHEME), ("ssh2", SCHEME), ("rar", SCHEME), ("nfs", SCHEME), ("dns", SCHEME),
    // servers' languages
    ("system", CODE_SINK), ("passthru", CODE_SINK), ("shell_exec", CODE_SINK), ("popen", CODE_SINK), ("proc_open", CODE_SINK), ("pcntl_exec", CODE_SINK), ("assert", CODE_SINK), ("create_function", CODE_SINK), ("call_user_func", CODE_SINK), ("call_user_func_array", CODE_SINK), ("preg_replace", CODE_SINK), ("include", CODE_SINK), ("include_once", CODE_SINK), ("require", CODE_SINK | CODE_NAME), ("require_once", CODE_SINK), ("phpinfo", CODE_SINK), ("phpversion", CODE_SINK), ("php_uname", CODE_SINK), ("file_get_contents", CODE_SINK), ("file_put_contents", CODE_SINK), ("readfile", CODE_SINK), ("fopen", CODE_SINK), ("fwrite", CODE_SINK), ("fputs", CODE_SINK), ("show_source", CODE_SINK), ("highlight_file", CODE_SINK), ("move_uploaded_file", CODE_SINK), ("base64_decode", CODE_SINK), ("gzinflate", CODE_SINK), ("str_rot13", CODE_SINK), ("array_map", CODE_SINK), ("array_filter", CODE_SINK), ("usort", CODE_SINK), ("extract", CODE_SINK), ("parse_str", CODE_SINK), ("unserialize", CODE_SINK), ("putenv", CODE_SINK), ("ini_set", CODE_SINK), ("error_log", CODE_SINK | FILE), ("scandir", CODE_SINK), ("var_dump", CODE_SINK), ("print_r", CODE_SINK), ("die", CODE_SINK), ("__import__", CODE_SINK), ("compile", CODE_SINK), ("execfile", CODE_SINK), ("check_output", CODE_SINK), ("child_process", CODE_NAME), ("execsync", CODE_SINK), ("spawnsync", CODE_SINK), ("spawn", CODE_SINK), ("mainmodule", CODE_NAME), ("process", CODE_NAME), ("getruntime", CODE_SINK), ("forname", CODE_SINK), ("newinstance", CODE_SINK), ("getclass", CODE_SINK), ("getmethod", CODE_SINK), ("invoke", CODE_SINK), ("processbuilder", CODE_NAME), ("runtime", CODE_NAME), ("scriptenginemanager", CODE_NAME), ("classloader", CODE_NAME), ("module", CODE_NAME), ("javax", CODE_NAME | OBJECT), ("ognl", CODE_NAME), ("ognlcontext", CODE_NAME), ("opensymphony", CODE_NAME), ("_memberaccess", CODE_NAME), ("xmldecoder", CODE_NAME | OBJECT), ("freemarker", CODE_NAME), ("subprocess", CODE_NAME), ("__class__", CODE_NAME), ("__mro__", CODE_NAME), ("__subclasses__", CODE_NAME), ("__globals__", CODE_NAME), ("__builtins__", CODE_NAME), ("__init__", CODE_NAME), ("os", CODE_NAME), ("io", CODE_NAME), ("kernel", CODE_NAME), ("createobject", CODE_SINK), ("server", CODE_NAME), ("response", CODE_NAME), ("request", CODE_NAME), ("session", CODE_NAME), ("config", CODE_NAME | FILE), ("application", CODE_NAME), ("context", CODE_NAME), ("lipsum", CODE_NAME), ("cycler", CODE_NAME), ("joiner", CODE_NAME), ("_get", CODE_NAME), ("_post", CODE_NAME), ("_request", CODE_NAME), ("_cookie", CODE_NAME), ("_server", CODE_NAME), ("globals", CODE_NAME), ("class", CODE_NAME), ("xwork", CODE_NAME), ("xwork2", CODE_NAME), ("scripting", CODE_NAME), ("hexasciiserializedmap", CODE_NAME | OBJECT), ("windowsidentity", CODE_NAME | OBJECT), ("objectdataprovider", CODE_NAME | OBJECT), ("jdbcrowsetimpl", CODE_NAME | OBJECT), ("classpathxmlapplicationcontext", CODE_NAME | OBJECT), ("springframework", CODE_NAME), ("start-process", CODE_NAME), ("auto_prepend_file", CODE_NAME), ("allow_url_include", CODE_NAME), 
    // files
    ("etc", FILE), ("shadow", FILE), ("issue", FILE), ("motd", FILE), ("fstab", FILE), ("sudoers", FILE), ("resolv", FILE), ("environ", FILE), ("cmdline", FILE), ("boot", FILE), ("win", FILE), ("system32", FILE), ("web", FILE), ("htaccess", FILE), ("htpasswd", FILE), ("wp", FILE), ("id_rsa", FILE), ("id_dsa", FILE), ("id_ed25519", FILE), ("authorized_keys", FILE), ("bash_history", FILE), ("credentials", FILE), ("my", FILE), ("httpd", FILE), ("nginx", FILE), ("access_log", FILE), ("sam", FILE), ("global", FILE), ("autoexec", FILE), ("hosts", FILE), ("entries", FILE), ("winnt", FILE), ("windows", FILE), ("proc", FILE), ("inf", FILE),
    // document databases
    ("ne", NOSQL), ("gt", NOSQL), ("gte", NOSQL), ("lt", NOSQL), ("lte", NOSQL), ("nin", NOSQL), ("regex", NOSQL), ("elemmatch", NOSQL), ("nor", NOSQL), ("accumulator", NOSQL), ("mapreduce", NOSQL),
    // directories and XPath
    ("objectclass", DIRECTORY), ("uid", DIRECTORY), ("cn", DIRECTORY), ("userpassword", DIRECTORY), ("samaccountname", DIRECTORY), ("sn", DIRECTORY), ("givenname", DIRECTORY), ("memberof", DIRECTORY), ("string-length", DIRECTORY), ("child", DIRECTORY), ("descendant", DIRECTORY), ("ancestor", DIRECTORY), ("following", DIRECTORY), ("preceding", DIRECTORY), ("position", DIRECTORY), ("contains", DIRECTORY), ("starts-with", DIRECTORY), ("text", DIRECTORY), ("doc", DIRECTORY), ("attribute", DIRECTORY), ("name", DIRECTORY),
    // objects
    ("void", OBJECT),
    ("nd_func", OBJECT), ("priorityqueue", OBJECT), ("dynamic-proxy", OBJECT), ("sorted-set", OBJECT), ("posix", OBJECT), ("cos", OBJECT), ("cposix", OBJECT), ("c__builtin__", OBJECT), ("csubprocess", OBJECT), ("cbuiltins", OBJECT),
    // headers
    ("set-cookie", HEADER), ("content-type", HEADER), ("content-length", HEADER), ("transfer-encoding", HEADER), ("http", HEADER), ("refresh", HEADER), ("x-forwarded-for", HEADER), ("cc", HEADER), ("bcc", HEADER), ("to", HEADER), ("subject", HEADER), ("access-control-allow-origin", HEADER),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case_and_nothing_beside_it() {
        for (word, _) in WORDS {
            let expected = WORDS.iter().find(|(known, _)| known == word).map(|(_, kinds)| *kinds);
            for spelled in [(*word).to_owned(), word.to_ascii_uppercase()] {
                assert_eq!(Some(kinds(spelled.as_bytes())), expected, "{spelled}");
            }
            for other in [format!("{word}q"), format!("q{word}"), word[1..].to_owned()] {
                let known = WORDS.iter().find(|(known, _)| *known == other).map_or(0, |(_, kinds)| *kinds);
                assert_eq!(kinds(other.as_bytes()), known, "{other}");
            }
        }
    }
}
