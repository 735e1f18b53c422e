use super::*;

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

fn row(columns: &[(&str, Value)]) -> Row {
    columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn table(schema: &str, name: &str) -> Table {
    Table { schema: schema.into(), name: name.into() }
}

/// As PostgreSQL 15 wrote it.
#[test]
fn every_kind_of_value_and_odd_names_are_read_as_they_were() {
    let line = "table public.\"Odd \"\"T]\": INSERT: \"Id\"[bigint]:1 \"we[ird\"[text[]]:'{x''y,\"n\nl\"}' b[bytea]:'\\x00ff' \
                m[public.\"a]: 'mood\"]:'a' bt[bit varying]:B'101' o[boolean]:true f[double precision]:-1.5e+300 n[numeric]:NaN \
                t[timestamp with time zone]:'2026-01-01 00:00:00+00' x[text]:null";
    let expected = row(&[
        ("Id", text("1")),
        ("we[ird", text("{x'y,\"n\nl\"}")),
        ("b", text("\\x00ff")),
        ("m", text("a")),
        ("bt", text("101")),
        ("o", text("true")),
        ("f", text("-1.5e+300")),
        ("n", text("NaN")),
        ("t", text("2026-01-01 00:00:00+00")),
        ("x", Value::Null),
    ]);
    assert_eq!(parse(line), Ok(Change::Row(table("public", "Odd \"T]"), Act::Insert(expected))));
}

#[test]
fn what_changes_is_told_with_its_former_key_where_that_changes_and_what_goes_by_its_key() {
    let plain = "table a.b: UPDATE: id[integer]:1 big[text]:unchanged-toast-datum small[text]:' new-tuple:'";
    let new = row(&[("id", text("1")), ("big", Value::Unchanged), ("small", text(" new-tuple:"))]);
    assert_eq!(parse(plain), Ok(Change::Row(table("a", "b"), Act::Update { key: None, row: new })));
    let moved = "table a.b: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2";
    let act = Act::Update { key: Some(row(&[("id", text("1"))])), row: row(&[("id", text("2"))]) };
    assert_eq!(parse(moved), Ok(Change::Row(table("a", "b"), act)));
    let gone = "table a.b: DELETE: x[text]:'' y[integer]:-7";
    let act = Act::Delete(row(&[("x", text("")), ("y", text("-7"))]));
    assert_eq!(parse(gone), Ok(Change::Row(table("a", "b"), act)));
    let emptied = Change::Truncate(vec![table("a", "b"), table("a", "c d")]);
    assert_eq!(parse("table a.b, a.\"c d\": TRUNCATE: restart_seqs cascade"), Ok(emptied));
    assert_eq!(parse("BEGIN"), Ok(Change::Begin));
    assert_eq!(parse("COMMIT"), Ok(Change::Commit));
    assert_eq!(parse("message: transactional: 1 prefix: x, sz: 6 content:COMMIT"), Ok(Change::Message));
}

#[test]
fn whatever_is_of_another_form_is_refused() {
    for bad in [
        "",
        "BEGIN 12",
        "table",
        "table a",
        "table a.b",
        "table a.b: ",
        "table a.b: MERGE: id[integer]:1",
        "table a.b, a.c: INSERT: id[integer]:1",
        "table a.b: INSERT:",
        "table a.b: DELETE: (no-tuple-data)",
        "table a.b: UPDATE: (no-tuple-data)",
        "table a.b: UPDATE: old-key: id[integer]:1",
        "table a.b: UPDATE: old-key: new-tuple: id[integer]:1",
        "table a.b: INSERT: id[integer]:1 new-tuple: id[integer]:2",
        "table a.b: INSERT: id:1",
        "table a.b: INSERT: id[integer:1",
        "table a.b: INSERT: id[\"integer]:1",
        "table a.b: INSERT: id[integer]1",
        "table a.b: INSERT: id[integer]:",
        "table a.b: INSERT: id[text]:'a",
        "table a.b: INSERT: id[text]:'a'b",
        "table a.b: INSERT: id[text]:a;DROP",
        "table a.b: INSERT: \"id[integer]:1",
        "table a.b: TRUNCATE: everything",
        "table a.B: INSERT: id[integer]:1",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    let columns: String = (0..=MAX_COLUMNS).map(|n| format!(" c{n}[integer]:1")).collect();
    assert!(parse(&format!("table a.b: INSERT:{columns}")).is_err());
}

#[test]
fn nothing_that_is_cut_off_or_has_another_letter_in_it_upsets_the_reader() {
    let line =
        "table a.\"ü b\": UPDATE: old-key: \"ä\"[text[]]:'é''' new-tuple: \"ä\"[text[]]:'x' b[bit]:B'1'";
    for (at, _) in line.char_indices() {
        let _ = parse(&line[..at]);
        let _ = parse(&format!("{}\u{fffd}{}", &line[..at], &line[at..]));
    }
}
