use super::message::{self, BEGINNING, Kind, Message};
use super::read::Reader;
use super::write::{Value, Writer};
use super::{Listed, units};

#[test]
fn a_call_is_written_as_the_specification_has_it() {
    let mut body = Writer::default();
    body.text("x.service").text("fail").properties(&[
        ("Description", Value::Text("y".into())),
        ("RemainAfterElapse", Value::Bool(false)),
        ("OOMScoreAdjust", Value::Signed(-900)),
        ("TimersMonotonic", Value::Timer("OnActiveSec", 5_000_000)),
        ("ExecStart", Value::Command(vec!["/bin/a".into(), "b".into()])),
    ]);
    let call = message::call(7, message::MANAGER, "StartTransientUnit", "ssa(sv)", body);
    let mut beginning = [0; BEGINNING];
    beginning.copy_from_slice(&call[..BEGINNING]);
    assert_eq!(message::length(&beginning).unwrap(), call.len());
    let parsed = Message::parse(&call).unwrap();
    assert_eq!((parsed.kind, parsed.member.as_str()), (Kind::Other, "StartTransientUnit"));

    let mut reader = Reader::new(&parsed.body);
    assert_eq!((reader.text().unwrap(), reader.text().unwrap()), ("x.service", "fail"));
    let mut seen = Vec::new();
    reader
        .array(8, |reader| {
            reader.align(8);
            let (name, kind) = (reader.text()?.to_owned(), reader.signature()?);
            let value = match kind {
                "s" => reader.text()?.to_owned(),
                "b" | "i" => reader.u32()?.cast_signed().to_string(),
                "a(st)" => format!(
                    "{:?}",
                    reader.array(8, |reader| {
                        reader.align(8);
                        Ok((
                            reader.text()?.to_owned(),
                            {
                                reader.align(8);
                                reader.u32()?
                            },
                            reader.u32()?,
                        ))
                    })?
                ),
                "a(sasb)" => format!(
                    "{:?}",
                    reader.array(8, |reader| {
                        reader.align(8);
                        Ok((
                            reader.text()?.to_owned(),
                            reader.array(4, |reader| reader.text().map(str::to_owned))?,
                            reader.u32()?,
                        ))
                    })?
                ),
                other => other.to_owned(),
            };
            seen.push(format!("{name} {value}"));
            Ok(())
        })
        .unwrap();
    let expected = [
        "Description y",
        "RemainAfterElapse 0",
        "OOMScoreAdjust -900",
        "TimersMonotonic [(\"OnActiveSec\", 5000000, 0)]",
        "ExecStart [(\"/bin/a\", [\"/bin/a\", \"b\"], 0)]",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_is_cut_or_absurd_is_refused() {
    let mut body = Writer::default();
    body.texts(["failed"]);
    let call = message::call(1, message::MANAGER, "ListUnitsFiltered", "as", body);
    for end in 0..call.len() {
        // A body that is cut is only known by its length, which the connection keeps to.
        let _ = Message::parse(&call[..end]);
    }
    let mut beginning: [u8; BEGINNING] = call[..BEGINNING].try_into().unwrap();
    beginning[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    message::length(&beginning).unwrap_err();
    beginning[0] = b'?';
    message::length(&beginning).unwrap_err();
    units(&u32::MAX.to_ne_bytes()).unwrap_err();
    units(&[]).unwrap_err();
}

#[test]
fn a_list_of_units_is_read() {
    let mut body = Writer::default();
    body.array(8, |units| {
        for (name, load) in [("a.service", "loaded"), ("longer.timer", "not-found")] {
            units.align(8).text(name).text("what it is").text(load).text("active").text("running");
            units.text("").text("/org/freedesktop/systemd1/unit/x").u32(0).text("").text("/");
        }
    });
    let [load, other] = ["loaded", "not-found"].map(str::to_owned);
    let listed = |name: &str, load: String| Listed {
        name: name.into(),
        load,
        active: "active".into(),
        sub: "running".into(),
    };
    assert_eq!(
        units(&body.into_bytes()).unwrap(),
        [listed("a.service", load), listed("longer.timer", other)]
    );
}
