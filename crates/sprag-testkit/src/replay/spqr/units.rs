//! Recordings of single steps inside the ratchet: field, erasure code, MACs, chain, KEM, wire form.

use serde_json::Value;
use sprag_core::{
    hazmat::spqr::{
        Authenticator, Chain, Chunk, DecapsulationKey, Decoder, Encoder, Message, complete,
        encapsulate, epoch_secret, invert, lagrange_basis, multiply,
    },
    spqr::{ChainParams, Direction},
};

use super::{
    super::{
        Report,
        case::{Fields, Outcome, array, same, same_bytes, same_hash, same_value},
    },
    Recorded,
};

pub(super) fn replay(file: &Value, report: &mut Report) {
    let mut section = |name: &str, replay: fn(&Value, &mut Report)| {
        if let Some(section) = file.optional(name) {
            replay(section, report);
        }
    };
    section("gf16", field);
    section("lagrange_basis", bases);
    section("erasure_tiny", worked_example);
    section("erasure", all_coders);
    section("authenticator", authenticator);
    section("chain", chain);
    section("mlkem768_split", kem);
    report.each(file, "messages", message);
}

fn field(gf16: &Value, report: &mut Report) {
    report.case("gf16: modulus", || {
        // x^15 times x is x^16, which is the modulus without its leading term.
        let found = 1 << 16 | u64::from(multiply(1 << 15, 2));
        same("modulus", found, gf16.number("modulus")?)
    });
    let mut each = |name: &str, run: fn(&Value) -> Outcome| {
        for (number, case) in gf16.list(name).into_iter().flatten().enumerate() {
            report.case(format_args!("gf16: {name}[{number}]"), || run(case));
        }
    };
    each("ops", |case| {
        let (a, b) = (element(case, "a")?, element(case, "b")?);
        same("product", multiply(a, b), element(case, "mul")?)?;
        same("quotient", multiply(a, invert(b)), element(case, "div")?)
    });
    each("inverse", |case| {
        same(
            "inverse",
            invert(element(case, "a")?),
            element(case, "inv")?,
        )
    });
    each("powers_of_2", |case| {
        let power = (0..case.number("e")?).fold(1, |power, _| multiply(power, 2));
        same("power", power, element(case, "v")?)
    });
    report.case("gf16: order_of_2", || {
        let mut power = 2;
        let mut order = 1;
        while power != 1 && order < 1 << 16 {
            power = multiply(power, 2);
            order += 1;
        }
        same("order", order, gf16.number("order_of_2")?)
    });
}

fn bases(bases: &Value, report: &mut Report) {
    for (points, expected) in bases.as_object().into_iter().flatten() {
        report.case(format_args!("lagrange_basis: {points} points"), || {
            let rows = match points.as_str() {
                "3" => rows(&lagrange_basis::<3>()),
                "5" => rows(&lagrange_basis::<5>()),
                "30" => rows(&lagrange_basis::<30>()),
                "36" => rows(&lagrange_basis::<36>()),
                _ => return Err("no such basis".into()),
            };
            same("basis", rows.to_string(), expected.to_string())
        });
    }
}

fn rows<const N: usize>(basis: &[[u16; N]; N]) -> Value {
    basis
        .iter()
        .map(|row| Value::from(row.as_slice()))
        .collect()
}

fn worked_example(example: &Value, report: &mut Report) {
    report.case("erasure_tiny: chunks", || {
        let mut encoder = Encoder::new(&message_of::<3>(example)?);
        let chunks: Vec<Chunk> = (0..259).map(|_| encoder.next_chunk()).collect();
        for index in [3, 4, 258] {
            let name = format!("chunk{index}");
            same_bytes(&name, &chunks[index].1, &example.bytes(&name)?)?;
        }
        Ok(())
    });
    for (form, given) in [("points", 3), ("coefficients", 4)] {
        report.case(format_args!("erasure_tiny: {form}"), || {
            let mut encoder = Encoder::new(&message_of::<3>(example)?);
            for _ in 0..given {
                encoder.next_chunk();
            }
            for lane in [0, 15] {
                let name = format!("lane{lane}_{form}");
                let numbers = Value::from(encoder.lanes()[lane].as_slice()).to_string();
                same(&name, numbers, example.field(&name)?.to_string())?;
            }
            Ok(())
        });
    }
}

fn all_coders(cases: &Value, report: &mut Report) {
    for case in cases.as_array().into_iter().flatten() {
        let length = case.number("len").unwrap_or_default();
        report.case(format_args!("erasure: {length} bytes"), || match length {
            32 => coders::<1>(case),
            96 => coders::<3>(case),
            160 => coders::<5>(case),
            960 => coders::<30>(case),
            1152 => coders::<36>(case),
            _ => Err("no such coder".into()),
        });
    }
}

/// Both halves of the erasure code; the decoder is given every other chunk.
fn coders<const N: usize>(case: &Value) -> Outcome {
    let message = message_of::<N>(case)?;
    for chunk in case.list("chunks")? {
        let index = chunk.number32("index")?;
        let (found, data) = Encoder::starting_at(index, &message).next_chunk();
        same("index", u32::from(found), index)?;
        same_bytes(&format!("chunk {index}"), &data, &chunk.bytes("data")?)?;
    }

    let mut encoder = Encoder::new(&message);
    same_value(case, "encoder_fresh", &encoder.stored())?;
    let mut chunks: Vec<Chunk> = (0..=N).map(|_| encoder.next_chunk()).collect();
    same_value(case, "encoder_after_n_plus_1", &encoder.stored())?;
    chunks.extend((N + 1..2 * N).map(|_| encoder.next_chunk()));

    let mut decoder = Decoder::<N>::new();
    same_value(case, "decoder_fresh", &decoder.stored())?;
    for chunk in chunks.into_iter().skip(1).step_by(2) {
        same("complete too early", decoder.message().is_some(), false)?;
        decoder.add(chunk);
    }
    same_value(case, "decoder_after_odd_chunks", &decoder.stored())?;
    let decoded = decoder.message().ok_or("no message from N chunks")?;
    same_bytes("message", decoded.as_flattened(), message.as_flattened())
}

fn authenticator(recorded: &Value, report: &mut Report) {
    let header = || array(recorded, "hdr");
    // As it is before, and after the secret of epoch 1 and that of epoch 2 have been taken in.
    let after = |epoch: u64| -> Result<Authenticator, String> {
        let mut authenticator = Authenticator::new(&array(recorded, "auth_key")?);
        for epoch in 1..=epoch {
            let secret = array(recorded, &format!("epoch_secret_epoch{epoch}"))?;
            authenticator.update(epoch, &secret);
        }
        Ok(authenticator)
    };
    for (epoch, when) in [(0, "init"), (1, "epoch1"), (2, "epoch2")] {
        report.case(format_args!("authenticator: keys after {when}"), || {
            let authenticator = after(epoch)?;
            let root_key = format!("root_after_{when}");
            same_value(recorded, &root_key, authenticator.root_key())?;
            let mac_key = format!("mac_key_after_{when}");
            same_value(recorded, &mac_key, authenticator.mac_key())
        });
    }
    for epoch in [1, 2] {
        let name = format!("epoch_secret_epoch{epoch}");
        report.case(format_args!("authenticator: {name}"), || {
            let secret = epoch_secret(&array(recorded, "kem_shared_secret")?, epoch);
            same_value(recorded, &name, &secret[..])
        });
        let name = format!("hdr_mac_epoch{epoch}");
        report.case(format_args!("authenticator: {name}"), || {
            let tag = after(epoch - 1)?.header_tag(epoch, &header()?);
            same_value(recorded, &name, &tag)
        });
    }
    report.case("authenticator: ct_mac_epoch1", || {
        let ciphertext = array::<1088>(recorded, "ct")?;
        let ct1 = ciphertext.first_chunk().ok_or("no first part")?;
        let ct2 = ciphertext.last_chunk().ok_or("no second part")?;
        let tag = after(1)?.ciphertext_tag(1, ct1, ct2);
        same_value(recorded, "ct_mac_epoch1", &tag)
    });
}

fn chain(recorded: &Value, report: &mut Report) {
    let new = |direction| -> Result<Chain, String> {
        let key = array(recorded, "initial_key")?;
        Ok(Chain::new(direction, &key, ChainParams::DEFAULT))
    };
    let alice = || new(Direction::AliceToBob);
    report.case("chain: start", || same_roots(&alice()?, recorded, 0));
    report.case("chain: a2b_epoch0_keys", || {
        sends_of_epoch_0(&mut alice()?, &mut new(Direction::BobToAlice)?, recorded)
    });
    report.case("chain: skipped keys", || {
        receives_of_epoch_0(&mut alice()?, recorded)
    });
    report.case("chain: epoch 1", || {
        let mut alice = alice()?;
        sends_of_epoch_0(&mut alice, &mut new(Direction::BobToAlice)?, recorded)?;
        receives_of_epoch_0(&mut alice, recorded)?;
        let secret = array(recorded, "epoch1_secret")?;
        alice.add_epoch(1, &secret).map_err(text)?;
        same_roots(&alice, recorded, 1)?;
        let (index, key) = alice.send_key(1).map_err(text)?;
        same("index", index, 1)?;
        same_value(recorded, "a2b_epoch1_key_1", key.as_bytes())?;
        same(
            "still sends in epoch 0",
            alice.next_send(0).is_some(),
            false,
        )?;
        same_value(recorded, "chain_protobuf", &alice.stored())
    });
}

/// The values with which an epoch starts; its link has the same number.
fn same_roots(alice: &Chain, recorded: &Value, epoch: usize) -> Outcome {
    let link = epoch;
    let send = alice.next_send(link).ok_or("no such link")?;
    let receive = alice.next_receive(link).ok_or("no such link")?;
    same_value(recorded, &format!("next_root_{epoch}"), alice.next_root())?;
    same_value(recorded, &format!("a2b_seed_{epoch}"), send)?;
    same_value(recorded, &format!("b2a_seed_{epoch}"), receive)
}

fn sends_of_epoch_0(alice: &mut Chain, bob: &mut Chain, recorded: &Value) -> Outcome {
    for case in recorded.list("a2b_epoch0_keys")? {
        let (index, sent) = alice.send_key(0).map_err(text)?;
        same("index", index, case.number32("index")?)?;
        same_value(case, "key", sent.as_bytes())?;
        let received = bob.receive_key(0, index).map_err(text)?;
        same_bytes("received key", received.as_bytes(), sent.as_bytes())?;
    }
    let next = alice.next_send(0).ok_or("no such link")?;
    same_value(recorded, "a2b_epoch0_next_after_3", next)
}

fn receives_of_epoch_0(alice: &mut Chain, recorded: &Value) -> Outcome {
    for (at, key, skipped) in [
        (5, "b2a_epoch0_key_5_jump", "b2a_prev_after_jump"),
        (2, "b2a_epoch0_key_2", "b2a_prev_after_key_2"),
    ] {
        let received = alice.receive_key(0, at).map_err(text)?;
        same_value(recorded, key, received.as_bytes())?;
        let stored = alice.skipped(0).ok_or("no such link")?;
        same_value(recorded, skipped, &stored)?;
    }
    Ok(())
}

fn kem(recorded: &Value, report: &mut Report) {
    let generate = || {
        let mut rng = Recorded::new(recorded.bytes("keygen_seed_d_then_z")?);
        let key = DecapsulationKey::generate(&mut rng);
        rng.finish().map(|()| key)
    };
    report.case("mlkem768_split: key pair", || {
        let key = generate()?;
        same_value(recorded, "hdr", key.header())?;
        same_value(recorded, "ek_vector", key.vector())?;
        same_value(recorded, "dk", key.as_bytes())
    });
    report.case("mlkem768_split: first step", || {
        let mut rng = Recorded::new(recorded.bytes("encaps_m")?);
        let encapsulation = encapsulate(&array(recorded, "hdr")?, &mut rng);
        rng.finish()?;
        same_value(recorded, "ct1", &encapsulation.ct1)?;
        same_value(recorded, "encaps_state", &encapsulation.state[..])?;
        same_value(recorded, "shared_secret", &encapsulation.shared_secret[..])
    });
    let second_step = |state: &[u8; 2080]| {
        let (header, vector) = (array(recorded, "hdr")?, array(recorded, "ek_vector")?);
        let ct2 = complete(state, &header, &vector).map_err(text)?;
        same_value(recorded, "ct2", &ct2)
    };
    report.case("mlkem768_split: second step", || {
        second_step(&array(recorded, "encaps_state")?)
    });
    report.case("mlkem768_split: second step, byte-swapped state", || {
        let mut state = array(recorded, "encaps_state")?;
        let (numbers, _) = state[..2048].as_chunks_mut::<2>();
        numbers.iter_mut().for_each(|number| number.reverse());
        same_hash(&state, recorded.text("encaps_state_byteswapped_sha256")?)?;
        second_step(&state)
    });
    let decapsulated = |ciphertext: &Value, expected: &str| {
        let (ct1, ct2) = (array(recorded, "ct1")?, array(ciphertext, "ct2")?);
        let secret = generate()?.decapsulate(&ct1, &ct2);
        same_value(ciphertext, expected, &secret[..])
    };
    report.case("mlkem768_split: decapsulation", || {
        decapsulated(recorded, "shared_secret")
    });
    report.case("mlkem768_split: implicit_rejection", || {
        decapsulated(recorded.field("implicit_rejection")?, "secret")
    });
}

fn message(case: &Value) -> Outcome {
    let bytes = case.bytes("bytes")?;
    let message = Message::parse(&bytes).map_err(text)?;
    same("version", message.version(), 1)?;
    same("epoch", message.epoch(), case.number("epoch")?)?;
    same("index", message.index(), case.number32("index")?)?;
    same("type", u64::from(message.kind()), case.number("type")?)?;
    let index = message.chunk().map(|(index, _)| u64::from(index));
    let expected = case.optional("chunk_index").and_then(Value::as_u64);
    same("chunk index", index, expected)?;
    if let Some((_, data)) = message.chunk() {
        // Nothing follows the chunk.
        same_bytes("chunk", &data, &bytes[bytes.len() - data.len()..])?;
    }
    same_bytes("bytes", &message.encode(), &bytes)
}

fn message_of<const N: usize>(case: &Value) -> Result<[[u8; 32]; N], String> {
    let message = case.bytes("message")?;
    let slices = message.as_chunks().0;
    slices
        .try_into()
        .map_err(|_| format!("the message has not {N} slices"))
}

fn element(case: &Value, name: &str) -> Result<u16, String> {
    u16::try_from(case.number(name)?).map_err(|_| format!("{name} is no element"))
}

fn text(error: sprag_core::spqr::Error) -> String {
    error.to_string()
}
