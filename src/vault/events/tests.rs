use super::*;

fn number(number: u64) -> Event {
    Event::Rotated { key: "api-key", at: Timestamp::from_millis(i64::try_from(number).unwrap()) }
}

fn read(events: &Events, position: Position) -> Vec<i64> {
    match events.read(position, 1000) {
        Found::Events(found) => found
            .iter()
            .map(|(_, event)| match &**event {
                Event::Rotated { at, .. } => at.as_millis(),
                Event::Secret { .. } => unreachable!(),
            })
            .collect(),
        Found::Gone => vec![-1],
        Found::Ended(_) => vec![-2],
        Found::Renewed(_) => vec![-3],
    }
}

#[test]
fn a_reader_goes_on_where_it_was_and_is_told_what_it_missed() {
    let events = Events::new(4);
    let Begin::At(start) = events.begin(None) else { panic!() };
    (1..=3).for_each(|each| events.publish(number(each)));
    assert_eq!(read(&events, start), [1, 2, 3]);
    let kept: Position = start.to_string().parse().unwrap();
    assert_eq!(events.begin(Some(kept)), Begin::At(start));
    (4..=5).for_each(|each| events.publish(number(each)));
    assert!(matches!(events.read(start, 10), Found::Gone), "the first of five is gone");
    assert!(matches!(events.begin(Some(start)), Begin::TooOld(_)));
    let second = Position { next: start.next + 1, ..start };
    assert_eq!(read(&events, second), [2, 3, 4, 5]);
    let Begin::At(end) = events.begin(None) else { panic!() };
    assert_eq!(read(&events, end), Vec::<i64>::new());
    let elsewhere = Position { epoch: start.epoch ^ 1, ..start };
    assert_eq!(events.begin(Some(elsewhere)), Begin::Restarted(end));
    assert_eq!(events.begin(Some(Position { next: end.next + 1, ..end })), Begin::Restarted(end));
}

#[test]
fn a_reader_is_told_when_the_stream_begins_anew() {
    let events = Events::new(4);
    let Begin::At(start) = events.begin(None) else { panic!() };
    events.publish(number(1));
    events.renew();
    events.publish(number(2));
    let Found::Renewed(position) = events.read(start, 1) else { panic!() };
    events.publish(number(3));
    assert_eq!(read(&events, position), [3]);
    assert!(matches!(events.begin(Some(start)), Begin::Restarted(_)));
}

#[test]
fn what_was_published_is_read_before_the_end() {
    let events = Events::new(4);
    let Begin::At(start) = events.begin(None) else { panic!() };
    events.publish(number(1));
    events.end("sealed");
    assert_eq!(read(&events, start), [1]);
    let Begin::At(end) = events.begin(None) else { panic!() };
    assert!(matches!(events.read(end, 1), Found::Ended("sealed")));
}

#[test]
fn a_position_is_taken_only_as_it_was_given() {
    for text in
        ["", "1", "-", "0000000000000001-", "1-1", "0000000000000001-+1", "0000000000000001-18446744073709551615"]
    {
        assert!(text.parse::<Position>().is_err(), "{text}");
    }
    let position: Position = "00000000000000ff-7".parse().unwrap();
    assert_eq!((position.epoch, position.next, position.to_string().as_str()), (255, 8, "00000000000000ff-7"));
}
