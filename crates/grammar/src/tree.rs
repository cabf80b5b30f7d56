//! A parse tree in one shape for all of PostgreSQL's 270 kinds of nodes, so that a walk over it can miss none.
//!
//! The library has a type for each kind; what they share is that they can be serialised. Fields that hold nothing (0, false,
//! empty) are left out, and the `Node` around each node is taken off.

use serde::ser::{self, Impossible, Serialize, SerializeSeq, SerializeStruct};

/// A value in the tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    /// Nothing, or what protobuf does not tell from it.
    Absent,
    /// Numbers, truth values and members of enumerations.
    Number(i64),
    Text(String),
    List(Vec<Tree>),
    Node(Node),
}

/// A node: its kind as the library's type is called (`SelectStmt`, `AConst`), and the fields that hold something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: &'static str,
    pub(crate) fields: Vec<(&'static str, Tree)>,
}

/// The tree of anything that the library parsed.
pub(crate) fn tree(of: &impl Serialize) -> Option<Tree> {
    of.serialize(Planter).ok()
}

impl Node {
    pub(crate) fn get(&self, name: &str) -> &Tree {
        self.fields.iter().find(|(field, _)| *field == name).map_or(&Tree::Absent, |(_, value)| value)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).text()
    }

    pub(crate) fn number(&self, name: &str) -> i64 {
        self.get(name).number()
    }

    pub(crate) fn list(&self, name: &str) -> &[Tree] {
        self.get(name).list()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        *self.get(name) != Tree::Absent
    }
}

impl Tree {
    pub(crate) fn node(&self) -> Option<&Node> {
        match self {
            Self::Node(node) => Some(node),
            _ => None,
        }
    }

    pub(crate) fn node_of(&self, kind: &str) -> Option<&Node> {
        self.node().filter(|node| node.kind == kind)
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            _ => 0,
        }
    }

    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            // A list node stands between where lists hold lists.
            Self::Node(node) if node.kind == "List" => node.list("items"),
            _ => &[],
        }
    }
}

/// A serialiser that builds trees. It has no errors: every value has a place.
struct Planter;

#[derive(Debug)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no tree")
    }
}
impl std::error::Error for Never {}
impl ser::Error for Never {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

impl ser::Serializer for Planter {
    type Ok = Tree;
    type Error = Never;
    type SerializeSeq = Branches;
    type SerializeTuple = Impossible<Tree, Never>;
    type SerializeTupleStruct = Impossible<Tree, Never>;
    type SerializeTupleVariant = Impossible<Tree, Never>;
    type SerializeMap = Impossible<Tree, Never>;
    type SerializeStruct = Growing;
    type SerializeStructVariant = Impossible<Tree, Never>;

    fn serialize_bool(self, value: bool) -> Result<Tree, Never> {
        self.serialize_i64(value.into())
    }
    fn serialize_i8(self, value: i8) -> Result<Tree, Never> {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<Tree, Never> {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<Tree, Never> {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<Tree, Never> {
        Ok(if value == 0 { Tree::Absent } else { Tree::Number(value) })
    }
    fn serialize_u8(self, value: u8) -> Result<Tree, Never> {
        self.serialize_i64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<Tree, Never> {
        self.serialize_i64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<Tree, Never> {
        self.serialize_i64(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<Tree, Never> {
        self.serialize_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }
    fn serialize_f32(self, value: f32) -> Result<Tree, Never> {
        self.serialize_str(&value.to_string())
    }
    fn serialize_f64(self, value: f64) -> Result<Tree, Never> {
        self.serialize_str(&value.to_string())
    }
    fn serialize_char(self, value: char) -> Result<Tree, Never> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<Tree, Never> {
        Ok(if value.is_empty() { Tree::Absent } else { Tree::Text(value.to_owned()) })
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<Tree, Never> {
        self.serialize_str(&String::from_utf8_lossy(value))
    }
    fn serialize_none(self) -> Result<Tree, Never> {
        Ok(Tree::Absent)
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<Tree, Never> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Tree, Never> {
        Ok(Tree::Absent)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Tree, Never> {
        Ok(Tree::Absent)
    }
    fn serialize_unit_variant(self, _: &'static str, at: u32, _: &'static str) -> Result<Tree, Never> {
        self.serialize_u32(at)
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<Tree, Never> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Tree, Never> {
        Ok(match value.serialize(self)? {
            // A node of which every field is empty is still a node; so is a member that is a bare value.
            Tree::Absent => Tree::Node(Node { kind: variant, fields: Vec::new() }),
            tree => tree,
        })
    }
    fn serialize_seq(self, length: Option<usize>) -> Result<Branches, Never> {
        Ok(Branches(Vec::with_capacity(length.unwrap_or(0))))
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Never> {
        Err(Never)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Never> {
        Err(Never)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Never> {
        Err(Never)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Never> {
        Err(Never)
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Growing, Never> {
        Ok(Growing(Node { kind: name, fields: Vec::new() }))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Never> {
        Err(Never)
    }
}

struct Branches(Vec<Tree>);

impl SerializeSeq for Branches {
    type Ok = Tree;
    type Error = Never;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Never> {
        self.0.push(value.serialize(Planter)?);
        Ok(())
    }

    fn end(self) -> Result<Tree, Never> {
        Ok(if self.0.is_empty() { Tree::Absent } else { Tree::List(self.0) })
    }
}

struct Growing(Node);

impl SerializeStruct for Growing {
    type Ok = Tree;
    type Error = Never;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Never> {
        match value.serialize(Planter)? {
            Tree::Absent => {}
            tree => self.0.fields.push((name, tree)),
        }
        Ok(())
    }

    fn end(mut self) -> Result<Tree, Never> {
        if self.0.kind != "Node" {
            return Ok(Tree::Node(self.0));
        }
        Ok(self.0.fields.pop().map_or(Tree::Absent, |(_, inner)| inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_every_node_and_no_empty_field() {
        let parsed = pg_query::parse("SELECT lower(a) FROM s.t WHERE b = 0 LIMIT ALL", 0).unwrap();
        let tree = tree(&parsed.protobuf).unwrap();
        let [statement] = tree.node().unwrap().list("stmts") else { panic!("one statement") };
        let select = statement.node().unwrap().get("stmt").node_of("SelectStmt").unwrap();
        let from = select.list("from_clause")[0].node_of("RangeVar").unwrap();
        assert_eq!((from.text("schemaname"), from.text("relname"), from.text("catalogname")), ("s", "t", ""));
        assert!(!from.has("catalogname") && !from.has("alias"));
        let condition = select.get("where_clause").node_of("AExpr").unwrap();
        let zero = condition.get("rexpr").node_of("AConst").unwrap();
        assert_eq!(zero.get("val").node_of("Integer").map(|node| node.number("ival")), Some(0));
        assert!(select.get("limit_count").node_of("AConst").unwrap().number("isnull") == 1);
    }
}
