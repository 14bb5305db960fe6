use modularbase_format::PackFile;

use super::{edit, folder, fresh, mbhost, mbhost_with, names, write};

pub(super) const TRAINED: &str = "error: d.wasm: holds trained weights, which made-up ones would replace\n\
     hint: to keep them, give the file as `--weights` and choose another `--out`; or remove the \
     file\n";

#[test]
fn what_decides_where_rows_go_keeps_its_numbers() {
    let dir = folder();
    let moe = crate::support::repository("packs/moe");
    let moe = moe.to_str().expect("a path");
    mbhost(
        dir.path(),
        &[
            "pack",
            "build",
            moe,
            "--out",
            "q.wasm",
            "--quantize",
            "q8_0",
        ],
    )
    .good();
    let shown = mbhost(dir.path(), &["pack", "inspect", "q.wasm", "--json"]).json();
    let kinds = |part: &str| -> Vec<&str> {
        let tensors = shown["weights"]["tensors"].as_array().expect("a list");
        let of = tensors.iter().filter(|it| {
            let name = it["name"].as_str().expect("a name");
            name.contains(part)
        });
        of.map(|it| it["type"].as_str().expect("a type")).collect()
    };
    assert_eq!(kinds("ffn_gate_inp"), ["F32", "F32"]);
    assert_eq!(kinds("ffn_gate_exps"), ["Q8_0", "Q8_0"]);
}

#[test]
fn weights_come_from_a_seed_or_a_file_and_must_fit() {
    let dir = folder();
    let home = fresh(dir.path(), "Weights");
    let build = |arguments: &[&str]| {
        let all = [&["pack", "build", "weights"], arguments].concat();
        mbhost(dir.path(), &all)
    };
    let read = |name: &str| std::fs::read(dir.path().join(name)).expect("a pack");
    build(&["--out", "a.wasm"]).good();
    build(&["--out", "b.wasm", "--seed", "0"]).good();
    build(&["--out", "c.wasm", "--seed", "1"]).good();
    assert!(read("a.wasm") == read("b.wasm"));
    assert!(read("a.wasm") != read("c.wasm"));

    let small = build(&["--out", "q.wasm", "--quantize", "Q8_0", "--json"]).json();
    let of_type = mbhost(dir.path(), &["pack", "inspect", "q.wasm", "--json"]).json();
    assert!(of_type["weights"]["by_type"]["Q8_0"]["tensors"].as_u64() > Some(0));
    assert!(of_type["weights"]["by_type"]["F32"]["tensors"].as_u64() > Some(0));
    assert!(read("q.wasm").len() < read("a.wasm").len());
    assert_eq!(small["warnings"], serde_json::json!([]));
    mbhost(dir.path(), &["pack", "test", "q.wasm"]).good();
    let large = build(&["--out", "k.wasm", "--quantize", "q4_k"]);
    assert!(
        large.err.ends_with(
            "warning: no weight became Q4_K: that takes matrices with rows of a multiple of 256 \
             numbers\n"
        ),
        "{}",
        large.err
    );

    edit(
        home.join("pack.toml"),
        "\nfeed-forward = 192",
        "\nfeed-forward = 256",
    );
    let some = build(&["--out", "k.wasm", "--quantize", "q4_k", "--json"]).json();
    assert_eq!(
        some["warnings"],
        serde_json::json!(["12 of 14 matrices stay F32: their rows are not whole blocks of 256"])
    );
    edit(
        home.join("pack.toml"),
        "\nfeed-forward = 256",
        "\nfeed-forward = 192",
    );

    // Weights of a pack are weights, and made-up ones stay what they are, however often they are
    // packed again; a file of weights counts as trained.
    let trained = |name: &str| {
        let shown = mbhost(dir.path(), &["pack", "inspect", name, "--json"]).json();
        shown["trained"].as_bool().expect("a truth")
    };
    let again = build(&[
        "--weights",
        "a.wasm",
        "--quantize",
        "q8_0",
        "--out",
        "d.wasm",
    ]);
    assert!(
        again
            .err
            .ends_with("warning: a.wasm: its weights are made up, so the pack is not trained\n"),
        "{}",
        again.err
    );
    again.good();
    assert!(!trained("d.wasm"));
    let pack = PackFile::open(&dir.path().join("a.wasm")).expect("a pack");
    let weights = pack.weight_shards().next().expect("weights").bytes;
    std::fs::write(dir.path().join("w.gguf"), weights).expect("a file");
    build(&["--weights", "w.gguf", "--out", "d.wasm"]).good();
    assert!(trained("d.wasm"));
    let mut odd = weights.to_vec();
    let first = pack.tensors().next().expect("a tensor");
    let at = first.bytes.as_ptr() as usize - weights.as_ptr() as usize;
    odd[at + 8..at + 12].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(dir.path().join("nan.gguf"), odd).expect("a file");
    let nan = build(&["--weights", "nan.gguf", "--out", "d.wasm"]);
    let last = "error: nan.gguf: weight `blk.0.attn_norm.weight` is not finite at [2]\n";
    assert!(nan.err.ends_with(last), "{}", nan.err);
    let before = read("d.wasm");
    build(&["--out", "d.wasm"]).refused(1, TRAINED);
    build(&["--weights", "a.wasm", "--out", "d.wasm"]).refused(1, TRAINED);
    assert!(before == read("d.wasm"));

    edit(
        home.join("pack.toml"),
        "\nfeed-forward = ",
        "\nfeed-forward = 1",
    );
    let unfit = build(&["--weights", "w.gguf", "--out", "d.wasm"]);
    assert_eq!(unfit.code, Some(1));
    assert!(
        unfit.err.ends_with(
            "error: w.gguf: weight `blk.0.ffn_gate.weight` is [192, 64], expected [1192, 64]; 5 \
             more do not fit\n\
             hint: `[model]` in pack.toml says which weights the pack declares, and their shapes\n"
        ),
        "{}",
        unfit.err
    );
    assert!(before == read("d.wasm"));
    write(dir.path().join("odd"), "what?");
    build(&["--weights", "odd", "--out", "d.wasm"]).refused(
        1,
        "error: odd: file begins with `what?`, expected GGUF, safetensors or a pack\n",
    );
    write(dir.path().join("cut.gguf"), "GGUF\u{3}");
    let cut = build(&["--weights", "cut.gguf", "--out", "d.wasm"]);
    assert_eq!(cut.code, Some(1));
    assert!(cut.err.starts_with("error: cut.gguf: "), "{}", cut.err);
    let left = names(dir.path());
    assert!(left.iter().all(|it| !it.ends_with(".tmp")), "{left:?}");
}

/// What a stranger wrote does nothing to the terminal, and an unsound file is found out before
/// cargo has worked.
#[test]
fn an_unsound_file_is_refused_at_once_and_in_plain_words() {
    let dir = folder();
    fresh(dir.path(), "Plain");
    let header = r#"{"a":{"dtype":"?[2J","shape":[1],"data_offsets":[0,4]}}"#;
    let header = header.replace('?', "\\u001b");
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend([0; 4]);
    for name in ["a.safetensors", "a\u{1b}[2J\u{202e}.safetensors"] {
        std::fs::write(dir.path().join(name), &file).expect("a file");
        let refused = mbhost(dir.path(), &["pack", "build", "plain", "--weights", name]);
        assert_eq!(refused.code, Some(1));
        let said = refused.err.strip_suffix('\n').expect("a line's end");
        let lines: Vec<_> = said.split('\n').collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with("error: a"), "{said}");
        assert!(lines[0].contains(".safetensors: header: "), "{said}");
        assert!(lines[1].starts_with("hint: "), "{said}");
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    }
}

#[test]
fn an_expert_that_gives_rows_of_another_width_is_warned_about() {
    let dir = folder();
    let home = fresh(dir.path(), "Wide");
    edit(
        home.join("src/lib.rs"),
        "let out = blocks.apply(&hidden)?;",
        "let out = blocks.apply(&hidden)?;\n        let wide = net.weights().get(\"wide\", &[96, 64], Init::fan_in(64))?;\n        let out = out.linear(&wide)?;",
    );
    let built = mbhost(&home, &["pack", "build", "--json"]).json();
    assert_eq!(
        built["warnings"],
        serde_json::json!(["`net.finish` was given a value of width 96, expected the base's 64"])
    );
}

/// Names from another world are found, beside those that were expected.
#[test]
fn weights_of_other_names_are_shown_beside_the_missing_one() {
    let dir = folder();
    let home = fresh(dir.path(), "Named");
    let floats = |name: &str| {
        let (data, shape) = (vec![0; 64 * 64 * 4], vec![64, 64]);
        (name.to_owned(), data, shape)
    };
    let names = ["blk.0.attn_q", "norm", "blk.0.attn_q.weights", "x.attn_q"];
    let tensors: Vec<_> = names.map(floats).into();
    let views = tensors.iter().map(|(name, data, shape)| {
        let kind = safetensors::Dtype::F32;
        let view = safetensors::tensor::TensorView::new(kind, shape.clone(), data);
        (name, view.expect("a tensor"))
    });
    let file = safetensors::serialize(views, None).expect("a file");
    std::fs::write(home.join("o.safetensors"), file).expect("a file");
    let unfit = mbhost(&home, &["pack", "build", "--weights", "o.safetensors"]);
    let last = "error: o.safetensors: weight `blk.0.attn_norm.weight` is missing, expected [64]; \
                17 more do not fit; not declared, but in the file: `blk.0.attn_q.weights`, \
                `blk.0.attn_q`, `x.attn_q`\n\
                hint: `mbhost pack build --out x.wasm` and then `mbhost pack inspect --tensors \
                x.wasm` lists the names and shapes\n";
    assert!(unfit.err.ends_with(last), "{}", unfit.err);
    assert_eq!(unfit.code, Some(1));

    // What the hint says, word by word.
    mbhost(&home, &["pack", "build", "--out", "x.wasm"]).good();
    let said = mbhost(&home, &["pack", "inspect", "--tensors", "x.wasm"]).good();
    assert!(
        said.contains("F32   [64] blk.0.attn_norm.weight\n"),
        "{said}"
    );
}

#[test]
fn what_is_typed_goes_before_what_is_exported() {
    let dir = folder();
    fresh(dir.path(), "Typed");
    let build = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all = [&["pack", "build", "typed", "--json"], arguments].concat();
        mbhost_with(dir.path(), &all, variables)
    };
    let seeded = build(&["--out", "a.wasm"], &[("MBHOST_SEED", "7")]).json();
    assert_eq!(seeded["seeded"], true);
    let (seed, weights) = (("MBHOST_SEED", "7"), ("MBHOST_WEIGHTS", "a.wasm"));
    let given = build(&["--weights", "a.wasm", "--out", "b.wasm"], &[seed]).json();
    assert_eq!(given["seeded"], false);
    let seeded = build(&["--seed", "7", "--out", "c.wasm"], &[weights]).json();
    assert_eq!(seeded["seeded"], true);
    let given = build(&["--out", "d.wasm"], &[seed, weights]).json();
    assert_eq!(given["seeded"], false);
    let both = build(&["--seed", "7", "--weights", "a.wasm"], &[]);
    assert_eq!((both.code, &*both.out), (Some(2), ""));
    assert!(both.err.contains("--seed") && both.err.contains("--weights"));
}

#[test]
fn a_build_replaces_packs_and_nothing_else() {
    let dir = folder();
    fresh(dir.path(), "Careful");
    let build = |arguments: &[&str]| {
        let all = [&["pack", "build", "careful"], arguments].concat();
        mbhost(dir.path(), &all)
    };
    let read = |name: &str| std::fs::read(dir.path().join(name)).expect("a file");
    let weights = |name: &str| {
        let pack = PackFile::open(&dir.path().join(name)).expect("a pack");
        pack.weight_shards().next().expect("weights").bytes.to_vec()
    };

    // Nothing and an empty file stand in nobody's way.
    write(dir.path().join("a.wasm"), "");
    build(&["--out", "a.wasm", "--seed", "1"]).good();
    build(&["--out", "b.wasm", "--seed", "2"]).good();
    std::fs::write(dir.path().join("a.gguf"), weights("a.wasm")).expect("a file");
    std::fs::write(dir.path().join("b.gguf"), weights("b.wasm")).expect("a file");

    // A new training takes the place of an older one.
    build(&["--weights", "a.gguf", "--out", "p.wasm"]).good();
    build(&["--weights", "b.gguf", "--out", "p.wasm"]).good();
    let trained = read("p.wasm");

    // But never of the file that it comes from, by whatever name.
    let same = |name: &str| {
        format!(
            "error: {name}: is where the weights come from, and the pack would replace it\n\
             hint: choose another `--out`; the file holds the only copy of its weights, for all \
             that a build can know\n"
        )
    };
    let onto = ["--weights", "p.wasm", "--quantize", "q4_0", "--out"];
    for name in ["p.wasm", "./p.wasm", "careful/../p.wasm"] {
        build(&[&onto[..], &[name]].concat()).refused(1, &same(name));
    }
    let raw = read("a.gguf");
    build(&["--weights", "a.gguf", "--out", "a.gguf"]).refused(1, &same("a.gguf"));
    assert!(read("p.wasm") == trained && read("a.gguf") == raw);
    build(&[&onto[..], &["small.wasm"]].concat()).good();

    // What does not open as a pack is not the build's to replace.
    write(dir.path().join("notes"), "mine");
    let whole = trained.len();
    std::fs::write(dir.path().join("cut.wasm"), &trained[..whole - 9]).expect("a file");
    build(&["--out", "notes"]).refused(
        1,
        "error: notes: file begins with `mine`, expected a WebAssembly component; the pack would \
         replace it\n\
         hint: what is there is no pack, so it is left alone: choose another `--out`, or remove \
         it\n",
    );
    for name in ["notes", "cut.wasm", "b.gguf"] {
        let before = read(name);
        for more in [&[][..], &["--weights", "a.gguf"]] {
            let refused = build(&[&["--out", name][..], more].concat());
            assert_eq!(refused.code, Some(1), "{name}: {}", refused.err);
            assert!(
                refused.err.contains("; the pack would replace it\n"),
                "{}",
                refused.err
            );
        }
        assert!(read(name) == before);
    }
}
