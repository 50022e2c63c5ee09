/// The checks of all rules, grouped by header in the files beside this one.
enum Checks {}
