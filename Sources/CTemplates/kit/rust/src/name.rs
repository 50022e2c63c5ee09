//! The driver's name: matches libbaton-{{name}}.so, and stands in the note.
pub const NAME: &str = "{{name}}";
pub const VERSION: &str = "0.1.0";
