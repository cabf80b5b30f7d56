//! From a statement's tree to what policy must know of it beyond the fingerprint.
//!
//! The walk enters every node, whatever its kind: what it has no special word for is entered all the same, so that a
//! relation, a function or a forbidden statement is found wherever the grammar allows one.

use std::collections::BTreeSet;

use pg_query::protobuf::{AExprKind, AlterTableType, BoolExprType, DiscardMode, VariableSetKind};
use portcullis_pgguard::description::{Argument, Deed, Kind, Parameter, Relation, print, word};
use portcullis_pgguard::reach::{self, Reach, Use};

use crate::functions;
use crate::settings::setting;
use crate::tree::{Node, Tree};

/// What was found in one statement.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) facts: BTreeSet<String>,
    pub(crate) reach: Reach,
    pub(crate) kinds: BTreeSet<Kind>,
    pub(crate) relations: BTreeSet<Relation>,
    pub(crate) parameters: BTreeSet<Parameter>,
    pub(crate) execute: Option<(String, Vec<Argument>)>,
    /// Names that `WITH` defines, as far as they can be seen from here; the innermost last.
    scope: Vec<String>,
    /// Statements with a `LIMIT` so far.
    limits: usize,
}

/// Walks through a statement.
pub(crate) fn walk(statement: &Tree) -> Found {
    let mut found = Found::default();
    found.visit(statement);
    found
}

/// What a top-level statement does to the session, where the walk alone does not tell.
pub(crate) fn deed(statement: &Tree) -> Deed {
    let Some(node) = statement.node() else { return Deed::None };
    let name = || Some(node.text("name")).filter(|name| !name.is_empty()).map(Into::into);
    match node.kind {
        "DeallocateStmt" => Deed::Deallocate(name()),
        "DiscardStmt" if node.number("target") == DiscardMode::DiscardAll as i64 => Deed::Deallocate(None),
        _ => Deed::None,
    }
}

impl Found {
    fn visit(&mut self, tree: &Tree) {
        match tree {
            Tree::Node(node) => self.node(node),
            Tree::List(list) => list.iter().for_each(|tree| self.visit(tree)),
            Tree::Absent | Tree::Number(_) | Tree::Text(_) => {}
        }
    }

    fn inside(&mut self, node: &Node) {
        node.fields.iter().for_each(|(_, tree)| self.visit(tree));
    }

    fn node(&mut self, node: &Node) {
        self.kinds.extend(functions::statement(node.kind));
        match node.kind {
            "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => return self.query(node),
            "RangeVar" => self.relation(node, false),
            "IntoClause" => {
                node.get("rel").node().into_iter().for_each(|rel| self.relation(rel, true));
            }
            "FuncCall" => self.call(node),
            "AExpr" => self.expression(node),
            "BoolExpr" => {
                node.list("args").iter().for_each(|arm| self.condition(arm));
                if node.number("boolop") != BoolExprType::OrExpr as i64 {
                    return self.inside(node);
                }
                let measure = format!("list {}", column(&Tree::List(node.list("args").to_vec())));
                self.reach.raise(&measure, reach::items(node.list("args").len()));
            }
            "AIndices" => self.key(node.get("uidx")),
            "CopyStmt" => return self.copy(node),
            "VariableSetStmt" => self.set(node),
            "AlterTableCmd" => self.alter(node.number("subtype")),
            "DefElem" => self.definition(node),
            "FetchStmt" if node.number("ismove") == 0 => {
                self.reach
                    .raise("rows", reach::rows(Some(node.number("how_many")).filter(|n| *n < i64::MAX).unwrap_or(-1)));
            }
            "ExecuteStmt" => self.execute(node),
            _ => {}
        }
        self.inside(node);
    }

    /// A query: what `WITH` defines can be seen in what follows, and by its neighbours as the server has it.
    fn query(&mut self, node: &Node) {
        let outside = self.scope.len();
        if let Some(with) = node.get("with_clause").node() {
            let tables = || with.list("ctes").iter().filter_map(Tree::node);
            let recursive = with.number("recursive") != 0;
            if recursive {
                self.scope.extend(tables().map(|table| table.text("ctename").to_owned()));
            }
            for table in tables() {
                self.inside(table);
                if !recursive {
                    self.scope.push(table.text("ctename").to_owned());
                }
            }
        }
        let changes = node.kind != "SelectStmt";
        let every_row = node.get("where_clause");
        if every_row == &Tree::Absent || holds_always(every_row) {
            self.kinds.extend(match node.kind {
                "UpdateStmt" => Some(Kind::UpdateAll),
                "DeleteStmt" => Some(Kind::DeleteAll),
                _ => None,
            });
        }
        self.condition(every_row);
        self.limit(node.get("limit_count"));
        self.reach.raise("list values", reach::items(node.list("values_lists").len()));
        for (name, tree) in &node.fields {
            match (*name, tree.node()) {
                ("with_clause", _) => {}
                // What a statement changes is a relation, whatever WITH defines.
                ("relation", Some(target)) if changes => self.relation(target, true),
                _ => self.visit(tree),
            }
        }
        self.scope.truncate(outside);
    }

    /// A condition that is a constant says which.
    fn condition(&mut self, tree: &Tree) {
        if let Some(text) = bare(tree) {
            self.facts.insert(format!("condition {}", said(&text)));
        }
    }

    fn limit(&mut self, count: &Tree) {
        if *count == Tree::Absent {
            return;
        }
        self.limits += 1;
        let measure = if self.limits == 1 { "rows".to_owned() } else { format!("rows {}", self.limits) };
        match value(count) {
            Value::Constant(text) => self.reach.raise(&measure, Use::Rows.band(Some(&text))),
            Value::Parameter(number) => self.parameter(number, Use::Rows, measure),
            Value::Null | Value::Other => self.reach.raise(&measure, reach::ALL_ROWS),
        }
    }

    fn relation(&mut self, node: &Node, written: bool) {
        let (schema, name) = (node.text("schemaname"), node.text("relname"));
        let alias = node.get("alias").node().map_or("", |alias| alias.text("aliasname"));
        let known = if alias.is_empty() { String::new() } else { format!(" as {}", word(alias)) };
        let own = !written && schema.is_empty() && self.scope.iter().any(|defined| defined == name);
        let dotted = if schema.is_empty() { word(name) } else { format!("{}.{}", word(schema), word(name)) };
        let verb = match (own, written) {
            (true, _) => "uses with",
            (false, true) => "writes",
            (false, false) => "reads",
        };
        self.facts.insert(format!("{verb} {dotted}{known}"));
        if !own {
            self.relations.insert(Relation { schema: word(schema).into(), name: word(name).into(), written });
        }
    }

    fn call(&mut self, node: &Node) {
        let parts = names(node.list("funcname"));
        let Some(name) = parts.last() else { return };
        self.facts.insert(format!("calls {}", word(&parts.join("."))));
        let kind = functions::function(name);
        self.kinds.extend(kind);
        let arguments = node.list("args");
        if *name == "set_config" {
            // Arguments by name stand in any order.
            let named = arguments.iter().any(|argument| argument.node_of("NamedArgExpr").is_some());
            let text = |at: usize| match arguments.get(at).map(value) {
                Some(Value::Constant(text)) if !named => Some(text),
                _ => None,
            };
            // A name that only the server knows may be any, so what is set is of every kind.
            let (set, to) = (text(0), text(1));
            let read = setting(set.as_deref().unwrap_or("role"), Some(to.as_deref()));
            self.kinds.extend(read.kind);
            self.facts.insert(if set.is_some() { read.fact } else { "set computed = computed".to_owned() });
        }
        if let [subject, wanted, ..] = arguments
            && functions::takes_a_pattern(name)
        {
            self.operand(wanted, Use::Pattern, format!("pattern {}", column(subject)));
        }
        if kind.is_some() || functions::reads_by_text(name) {
            for argument in arguments {
                if let Value::Constant(text) = value(argument) {
                    self.facts.insert(format!("{} of {}", said(&text), word(name)));
                }
            }
        }
    }

    fn expression(&mut self, node: &Node) {
        let operator = names(node.list("name")).pop().unwrap_or_default();
        let (left, right) = (node.get("lexpr"), node.get("rexpr"));
        if matches!(operator, "=" | "<>" | "<" | ">" | "<=" | ">=")
            && let (Some(left), Some(right)) = (bare(left), bare(right))
        {
            // `1 = 0` is how empty lists are written; `1 = 1` has the same fingerprint.
            self.facts.insert(format!("condition {} {operator} {}", said(&left), said(&right)));
        }
        let is = |kind: AExprKind| node.number("kind") == kind as i64;
        let measure = |what: &str| format!("{what} {}", column(if column(left) == "?" { right } else { left }));
        let likes = matches!(operator, "~~" | "~~*" | "!~~" | "!~~*" | "~" | "~*" | "!~" | "!~*" | "^@");
        if is(AExprKind::AexprIn) {
            self.reach.raise(&measure("list"), reach::items(right.list().len()));
        } else if is(AExprKind::AexprOpAny) || is(AExprKind::AexprOpAll) {
            let how = if likes { Use::Pattern } else { Use::Items };
            match right.node_of("AArrayExpr") {
                Some(array) => {
                    self.reach.raise(&measure("list"), reach::items(array.list("elements").len()));
                    let each = array.list("elements").iter().filter(|_| likes);
                    each.for_each(|element| self.operand(element, how, measure("pattern")));
                }
                None => self.operand(right, how, measure(if likes { "pattern" } else { "list" })),
            }
        } else if likes {
            self.operand(right, Use::Pattern, measure("pattern"));
        } else if matches!(operator, ">" | ">=" | "<" | "<=") {
            let sides = [(Use::Above, "above"), (Use::Below, "below")];
            // `5 < id` is `id > 5`.
            let operands = if operator.starts_with('>') { [right, left] } else { [left, right] };
            for ((how, name), operand) in sides.into_iter().zip(operands) {
                self.operand(operand, how, measure(name));
            }
        } else if matches!(operator, "->" | "->>" | "#>" | "#>>" | "@?" | "@@") {
            self.key(right);
        } else if let [low, high] = right.list()
            && [AExprKind::AexprBetween, AExprKind::AexprBetweenSym].into_iter().any(is)
        {
            match (value(low), value(high)) {
                (Value::Constant(low), Value::Constant(high)) => {
                    self.reach.raise(&measure("between"), reach::between(&low, &high));
                }
                _ => {
                    self.operand(low, Use::Above, measure("above"));
                    self.operand(high, Use::Below, measure("below"));
                }
            }
        }
    }

    /// An operand that decides how far a statement reaches: now where it is a constant, at Bind where it is a parameter.
    fn operand(&mut self, tree: &Tree, how: Use, measure: String) {
        match value(tree) {
            Value::Constant(text) => self.reach.raise(&measure, how.band(Some(&text))),
            Value::Parameter(number) => self.parameter(number, how, measure),
            Value::Null => {}
            Value::Other => {
                // `'%' || $1 || '%'`, `like_escape($1, '!')`: the parameters and constants inside are what a pattern is made of.
                let Some(node) = tree.node() else { return };
                let ordered = matches!(how, Use::Above | Use::Below);
                let parts = match node.kind {
                    // Of `(joined, id) > ('2024-01-01', 7)` the first decides.
                    "RowExpr" if ordered => {
                        return node
                            .list("args")
                            .iter()
                            .take(1)
                            .for_each(|first| self.operand(first, how, measure.clone()));
                    }
                    // `now() - interval '30 days'`: how far back.
                    "AExpr" if ordered && matches!(names(node.list("name")).as_slice(), ["-" | "+"]) => {
                        for text in [node.get("lexpr"), node.get("rexpr")].into_iter().filter_map(constant) {
                            let of = measure.split_once(' ').map_or("?", |(_, column)| column);
                            self.reach.raise(&format!("span {of}"), reach::span(&text));
                        }
                        return;
                    }
                    "AExpr" if names(node.list("name")) == ["||"] => vec![node.get("lexpr"), node.get("rexpr")],
                    "FuncCall" if how == Use::Pattern => node.list("args").iter().take(1).collect(),
                    _ => vec![],
                };
                let joined: Option<String> = parts.iter().map(|part| constant(part)).collect();
                match joined.filter(|_| how == Use::Pattern && !parts.is_empty()) {
                    Some(text) => self.reach.raise(&measure, how.band(Some(&text))),
                    None => {
                        // A constant beside a parameter is the frame that the statement was written with.
                        let open = parts.iter().filter(|part| constant(part).is_none());
                        open.for_each(|part| self.operand(part, how, measure.clone()));
                    }
                }
            }
        }
    }

    fn parameter(&mut self, number: u16, how: Use, measure: String) {
        self.parameters.insert(Parameter { number, how, measure: measure.into() });
    }

    /// A constant that says which part of a document is read.
    fn key(&mut self, tree: &Tree) {
        if let Value::Constant(text) = value(tree)
            && text.parse::<i64>().is_err()
        {
            self.facts.insert(format!("{} of a document", said(&text)));
        }
    }

    fn copy(&mut self, node: &Node) {
        let into = node.number("is_from") != 0;
        if node.number("is_program") != 0 {
            self.kinds.insert(Kind::CopyProgram);
        } else if node.has("filename") {
            self.kinds.insert(Kind::CopyFile);
        }
        if node.has("filename") {
            self.facts.insert(format!("{} of copy", said(node.text("filename"))));
        }
        for (name, tree) in &node.fields {
            match (*name, tree.node()) {
                ("relation", Some(relation)) => self.relation(relation, into),
                _ => self.visit(tree),
            }
        }
    }

    fn set(&mut self, node: &Node) {
        let kind = node.number("kind");
        let is = |other: VariableSetKind| kind == other as i64;
        if is(VariableSetKind::VarResetAll) {
            self.facts.insert("set everything = default".to_owned());
            return;
        }
        let arguments = node.list("args");
        let texts: Option<Vec<String>> = arguments.iter().map(constant).collect();
        let joined = texts.map(|texts| texts.join(", "));
        let read = if is(VariableSetKind::VarSetValue) {
            setting(node.text("name"), Some(joined.as_deref()))
        } else if is(VariableSetKind::VarSetMulti) {
            // SET TRANSACTION: its modes are definitions, which the walk reads.
            self.facts.extend(arguments.iter().filter_map(Tree::node).map(|mode| {
                format!("set {} = {}", word(mode.text("defname")), said(&constant(mode.get("arg")).unwrap_or_default()))
            }));
            return;
        } else {
            setting(node.text("name"), None)
        };
        self.kinds.extend(read.kind);
        self.facts.insert(read.fact);
    }

    fn alter(&mut self, subtype: i64) {
        let is = |kinds: &[AlterTableType]| kinds.iter().any(|kind| subtype == *kind as i64);
        if is(&[AlterTableType::AtDropColumn, AlterTableType::AtDropConstraint]) {
            self.kinds.insert(Kind::Drop);
        }
        let rights = [
            AlterTableType::AtChangeOwner,
            AlterTableType::AtEnableRowSecurity,
            AlterTableType::AtDisableRowSecurity,
            AlterTableType::AtForceRowSecurity,
            AlterTableType::AtNoForceRowSecurity,
        ];
        if is(&rights) {
            self.kinds.insert(Kind::Rights);
        }
        let routines = [
            AlterTableType::AtEnableTrig,
            AlterTableType::AtEnableAlwaysTrig,
            AlterTableType::AtDisableTrig,
            AlterTableType::AtDisableTrigAll,
            AlterTableType::AtDisableTrigUser,
        ];
        if is(&routines) {
            self.kinds.insert(Kind::Routine);
        }
    }

    /// The bodies of DO and of functions.
    fn definition(&mut self, node: &Node) {
        if node.text("defname") != "as" {
            return;
        }
        let argument = node.get("arg");
        let bodies = std::iter::once(argument).chain(argument.list());
        for body in bodies.filter_map(|body| body.node_of("String")) {
            self.facts.insert(format!("{} of code", said(body.text("sval"))));
        }
    }

    fn execute(&mut self, node: &Node) {
        let argument = |tree: &Tree| match value(tree) {
            Value::Constant(text) => Argument::Constant(text.into()),
            Value::Null => Argument::Null,
            Value::Parameter(_) | Value::Other => Argument::Computed,
        };
        self.execute = Some((node.text("name").to_owned(), node.list("params").iter().map(argument).collect()));
    }
}

/// A constant without so much as a cast.
fn bare(tree: &Tree) -> Option<String> {
    let node = tree.node_of("AConst")?;
    if node.number("isnull") != 0 { Some("null".to_owned()) } else { constant(tree) }
}

/// What an operand is, casts aside.
enum Value {
    Constant(String),
    Null,
    Parameter(u16),
    Other,
}

fn value(tree: &Tree) -> Value {
    let Some(node) = tree.node() else { return Value::Other };
    match node.kind {
        "TypeCast" => value(node.get("arg")),
        "NamedArgExpr" => value(node.get("arg")),
        "ParamRef" => u16::try_from(node.number("number")).map_or(Value::Other, Value::Parameter),
        "AConst" if node.number("isnull") != 0 => Value::Null,
        "AConst" => literal(node.get("val")),
        "AExpr" if names(node.list("name")) == ["-"] && !node.has("lexpr") => match value(node.get("rexpr")) {
            Value::Constant(text) => Value::Constant(format!("-{text}")),
            other => other,
        },
        "String" | "Integer" | "Float" | "Boolean" => literal(tree),
        _ => Value::Other,
    }
}

fn literal(tree: &Tree) -> Value {
    let Some(node) = tree.node() else { return Value::Other };
    Value::Constant(match node.kind {
        "Integer" => node.number("ival").to_string(),
        "Float" => node.text("fval").to_owned(),
        "Boolean" => (node.number("boolval") != 0).to_string(),
        "String" => node.text("sval").to_owned(),
        "BitString" => node.text("bsval").to_owned(),
        _ => return Value::Other,
    })
}

fn constant(tree: &Tree) -> Option<String> {
    match value(tree) {
        Value::Constant(text) => Some(text),
        _ => None,
    }
}

/// Names in a list, as `schema.name` is parsed.
fn names(list: &[Tree]) -> Vec<&str> {
    list.iter().filter_map(|part| part.node_of("String")).map(|part| part.text("sval")).collect()
}

/// A constant as a fact: short ones as they are written, others by their print.
fn said(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$' | '[' | ']' | '{' | '}' | ',' | '/' | '-' | '*')
    };
    if text.len() <= 48 && text.chars().all(plain) { format!("'{text}'") } else { format!("text {}", print(text)) }
}

/// The first column that a tree names, without its relation; `?` where it names none.
fn column(tree: &Tree) -> String {
    fn first(tree: &Tree) -> Option<String> {
        match tree {
            Tree::Node(node) if node.kind == "ColumnRef" => names(node.list("fields")).last().map(|name| word(name)),
            Tree::Node(node) => node.fields.iter().find_map(|(_, tree)| first(tree)),
            Tree::List(list) => list.iter().find_map(first),
            _ => None,
        }
    }
    first(tree).unwrap_or_else(|| "?".to_owned())
}

/// Whether a condition leaves no row out: no column takes part in it, or only compared with itself.
fn holds_always(tree: &Tree) -> bool {
    let Some(node) = tree.node() else { return false };
    match node.kind {
        "BoolExpr" => {
            let arms = node.list("args");
            if node.number("boolop") == BoolExprType::OrExpr as i64 {
                arms.iter().any(holds_always)
            } else {
                arms.iter().all(holds_always)
            }
        }
        "AExpr" if without_place(node.get("lexpr")) == without_place(node.get("rexpr")) => true,
        "CurrentOfExpr" => false,
        _ => !takes_a_column(tree),
    }
}

fn takes_a_column(tree: &Tree) -> bool {
    match tree {
        Tree::Node(node) => {
            matches!(node.kind, "ColumnRef" | "SubLink" | "CurrentOfExpr")
                || node.fields.iter().any(|(_, tree)| takes_a_column(tree))
        }
        Tree::List(list) => list.iter().any(takes_a_column),
        _ => false,
    }
}

/// The tree without where it stood in the text.
fn without_place(tree: &Tree) -> Tree {
    match tree {
        Tree::Node(node) => {
            let fields = node.fields.iter().filter(|(name, _)| !name.ends_with("location"));
            Tree::Node(Node {
                kind: node.kind,
                fields: fields.map(|(name, tree)| (*name, without_place(tree))).collect(),
            })
        }
        Tree::List(list) => Tree::List(list.iter().map(without_place).collect()),
        other => other.clone(),
    }
}
