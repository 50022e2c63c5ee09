/// Matches libbaton-{{name}}.so and the note.
let driverName = "{{name}}"
