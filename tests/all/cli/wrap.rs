use std::path::Path;

use modularbase::Builtin;
use modularbase::pack::{Pack, Sandbox};
use modularbase_format::{PackFile, PackWriter};

use super::weights::TRAINED;
use super::{Run, edit, folder, mbhost, mbhost_with, names, write};
use crate::support::{Gguf, repository};

/// Puts a manifest for the code beside weights of the shapes that it declares with it.
fn dense(folder: &Path) -> (String, Vec<u8>) {
    let code = Builtin::Dense;
    let manifest = code.manifest().replace("id = \"dense\"", "id = \"mine\"");
    write(folder.join("pack.toml"), &manifest);
    let bare = folder.join("bare.wasm");
    let file = PackWriter::new(code.component(), &manifest).write(&bare);
    let pack = Pack::from_file(file.expect("a pack"), &Sandbox::default()).expect("a pack");
    let mut gguf = Gguf::new();
    for described in pack.describe(None).expect("it describes itself") {
        for weight in described.weights {
            gguf = gguf.floats(&weight.name, &weight.shape, |i| (i % 7) as f32 / 64.0);
        }
    }
    std::fs::remove_file(bare).expect("it was written");
    std::fs::write(folder.join("w.gguf"), gguf.bytes()).expect("there is room");
    (manifest, gguf.bytes())
}

fn wrap(folder: &Path, arguments: &[&str]) -> Run {
    mbhost(folder, &[&["pack", "wrap", "--code"], arguments].concat())
}

const DENSE: [&str; 5] = ["dense", "--weights", "w.gguf", "--manifest", "pack.toml"];

#[test]
fn weights_and_a_manifest_become_a_pack_where_there_is_no_rust() {
    let dir = folder();
    let (manifest, weights) = dense(dir.path());
    let nothing = folder();
    let path = nothing.path().to_str().expect("a plain path");
    let run = |arguments: &[&str]| {
        let all = [&["pack", "wrap", "--code"], arguments].concat();
        mbhost_with(dir.path(), &all, &[("PATH", path)])
    };
    let said = run(&DENSE).good();
    assert!(said.starts_with("pack.wasm: pack `mine` 0.1.0\n"), "{said}");
    assert!(said.contains(" numbers\n  times    describing "), "{said}");

    let pack = PackFile::open(&dir.path().join("pack.wasm")).expect("a pack");
    assert_eq!(pack.manifest_text(), manifest);
    assert!(pack.manifest().trained);
    assert!(pack.component() == Builtin::Dense.component());
    let shown = mbhost(dir.path(), &["pack", "inspect", "--json"]).json();
    assert_eq!(shown["code"]["exports"], serde_json::json!(["expert"]));
    assert_eq!(shown["measured"][0]["role"], "expert");
    let report = mbhost(dir.path(), &["pack", "test", "pack.wasm", "--json"]).json();
    for check in report["checks"].as_array().expect("checks") {
        assert_ne!(check["outcome"], "failed", "{report}");
    }

    // A pack's weights are weights, and so are those of safetensors.
    let from = |file: &str, out: &str| {
        run(&[
            "dense",
            "--weights",
            file,
            "--manifest",
            "pack.toml",
            "--out",
            out,
        ])
        .good();
        std::fs::read(dir.path().join(out)).expect("a pack")
    };
    let first = std::fs::read(dir.path().join("pack.wasm")).expect("a pack");
    assert!(from("pack.wasm", "again.wasm") == first);
    let tensors: Vec<_> = pack.tensors().collect();
    let views = tensors.iter().map(|it| {
        let (kind, shape) = (safetensors::Dtype::F32, it.info.shape.clone());
        let view = safetensors::tensor::TensorView::new(kind, shape, it.bytes);
        (it.info.name.as_str(), view.expect("a tensor"))
    });
    let file = safetensors::serialize(views, None).expect("a file");
    std::fs::write(dir.path().join("w.safetensors"), file).expect("there is room");
    assert!(from("w.safetensors", "other.wasm") == first);

    let more = ["--quantize", "q8_0", "--out", "small.wasm", "--json"];
    let small = run(&[&DENSE[..], &more].concat()).json();
    assert!(small["bytes"].as_u64() < Some(first.len() as u64));
    assert_eq!(small["ms"]["cargo"], serde_json::Value::Null);
    assert!(small["ms"]["describe"].as_f64() > Some(0.0));
    assert!(weights == std::fs::read(dir.path().join("w.gguf")).expect("a file"));
}

/// A build of the same manifest and weights differs in nothing but the code, if at all.
#[test]
fn a_wrapped_pack_holds_what_a_built_one_holds() {
    let dir = folder();
    let home = repository("packs/dense");
    let home = home.to_str().expect("a plain path");
    let manifest = format!("{home}/pack.toml");
    let seeded = ["pack", "build", home, "--seed", "5", "--out", "seeded.wasm"];
    mbhost(dir.path(), &seeded).good();
    let open = |name: &str| PackFile::open(&dir.path().join(name)).expect("a pack");
    let seeded = open("seeded.wasm");
    let weights = seeded.weight_shards().next().expect("weights").bytes;
    std::fs::write(dir.path().join("w.gguf"), weights).expect("there is room");
    for (file, of_build, of_wrap) in [
        ("seeded.wasm", "a.wasm", "b.wasm"),
        ("w.gguf", "c.wasm", "d.wasm"),
    ] {
        let from = ["--weights", file, "--quantize", "q4_0", "--out"];
        let build = [&["pack", "build", home][..], &from, &[of_build]].concat();
        mbhost(dir.path(), &build).good();
        let code = ["dense", "--manifest", &manifest];
        wrap(dir.path(), &[&code[..], &from, &[of_wrap]].concat()).good();
        let (built, wrapped) = (open(of_build), open(of_wrap));
        assert_eq!(built.manifest_text(), wrapped.manifest_text());
        let shard = |pack: &PackFile| {
            let mut shards = pack.weight_shards();
            shards.next().expect("weights").bytes.to_vec()
        };
        assert!(shard(&built) == shard(&wrapped), "{file}");
        if built.component() == wrapped.component() {
            assert_eq!(built.digest(), wrapped.digest(), "{file}");
        }
    }
}

#[test]
fn what_is_missing_is_said_by_name() {
    let dir = folder();
    dense(dir.path());
    let run = |arguments: &[&str]| wrap(dir.path(), arguments);
    let without = |pack: &str| {
        format!(
            "error: pack `{pack}` 0.1.0: the code declares 18 weights, such as \
             `blk.0.attn_norm.weight` [64], and none are given\n\
             hint: `--weights FILE` takes a GGUF file, a safetensors file or another pack\n"
        )
    };
    run(&["dense"]).refused(1, &without("dense"));
    run(&["dense", "--manifest", "pack.toml"]).refused(1, &without("mine"));
    run(&["dense", "--weights", "w.gguf"]).refused(
        1,
        "error: the code `dense` has weights to be wrapped and no manifest for them\n\
         hint: `--manifest pack.toml` says what the pack is and, in `[model]`, which weights the \
         code declares; `mbhost pack init` makes a folder that has one\n",
    );
    let unknown = run(&["sparse"]);
    assert_eq!((unknown.code, &*unknown.out), (Some(2), ""));
    for code in Builtin::ALL {
        assert!(unknown.err.contains(code.name()), "{}", unknown.err);
    }
    assert_eq!(mbhost(dir.path(), &["pack", "wrap"]).code, Some(2));
    let with = |weights: &str, manifest: &str| {
        run(&["dense", "--weights", weights, "--manifest", manifest])
    };
    let gone = |name: &str| format!("error: {name}: No such file or directory (os error 2)\n");
    with("w.gguf", "gone.toml").refused(1, &gone("gone.toml"));
    with("gone.gguf", "pack.toml").refused(1, &gone("gone.gguf"));
    with("w.gguf", ".").refused(
        1,
        "error: .: it is not a regular file, expected a file of at most 65536 bytes\n",
    );
    run(&[&DENSE[..], &["--out", "gone/x.wasm"]].concat()).refused(
        1,
        "error: gone/x.wasm: the folder it should stand in is missing\n",
    );
    assert_eq!(names(dir.path()), ["pack.toml", "w.gguf"]);
}

#[test]
fn what_does_not_fit_together_is_refused_and_nothing_is_lost() {
    let dir = folder();
    let (manifest, weights) = dense(dir.path());
    let run = |more: &[&str]| wrap(dir.path(), &[&DENSE[..], more].concat());
    run(&[]).good();
    let before = std::fs::read(dir.path().join("pack.wasm")).expect("a pack");

    // Another shape than the weights', a role that the code has not, a key that is none.
    let with = |from: &str, to: &str| {
        assert!(manifest.contains(from), "{from}");
        write(dir.path().join("pack.toml"), &manifest.replace(from, to));
        run(&[])
    };
    with("feed-forward = 128", "feed-forward = 160").refused(
        1,
        "error: w.gguf: weight `blk.0.ffn_gate.weight` is [128, 64], expected [160, 64]; 5 more \
         do not fit\n\
         hint: `[model]` in pack.toml says which weights the pack declares, and their shapes\n",
    );
    let refused = with("heads = 4", "heads = 5");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .err
            .starts_with("error: pack `mine` 0.1.0: `load` refused: "),
        "{}",
        refused.err
    );
    let refused = with("roles = [\"expert\"]", "roles = [\"router\"]");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .err
            .starts_with("error: pack `mine` 0.1.0: its code exports the role `expert`"),
        "{}",
        refused.err
    );
    let refused = with("[model]", "[modle]");
    assert!(
        refused.err.starts_with("error: pack.toml:"),
        "{}",
        refused.err
    );
    assert!(
        refused.err.contains("key `modle` is unknown"),
        "{}",
        refused.err
    );
    write(dir.path().join("pack.toml"), &manifest);

    // A tensor by another name.
    let name = b"blk.1.attn_q.weight";
    let at = weights.windows(name.len()).position(|it| it == name);
    let mut renamed = weights.clone();
    renamed[at.expect("dense has it") + 4] = b'7';
    std::fs::write(dir.path().join("w.gguf"), renamed).expect("there is room");
    run(&[]).refused(
        1,
        "error: w.gguf: weight `blk.1.attn_q.weight` is missing, expected [64, 64]; not declared, \
         but in the file: `blk.7.attn_q.weight`\n\
         hint: `[model]` in pack.toml says which weights the code declares; of a pack that has \
         them, `mbhost pack inspect --tensors` lists the names and shapes\n",
    );

    // A file that was cut short, anywhere, and one that is none.
    for end in [0, 3, 23, 200, weights.len() / 2, weights.len() - 1] {
        std::fs::write(dir.path().join("w.gguf"), &weights[..end]).expect("there is room");
        let refused = run(&[]);
        assert_eq!((refused.code, &*refused.out), (Some(1), ""), "{end}");
        assert!(
            refused.err.starts_with("error: w.gguf: "),
            "{}",
            refused.err
        );
    }
    write(dir.path().join("w.gguf"), "\u{1b}[2J hello");
    run(&[]).refused(
        1,
        "error: w.gguf: file begins with `\\x1b[2J hel`, expected GGUF, safetensors or a pack\n",
    );
    std::fs::write(dir.path().join("w.gguf"), &weights).expect("there is room");

    // What is there and is no pack, or is where the weights come from, stays.
    for name in ["w.gguf", "pack.toml"] {
        let held = std::fs::read(dir.path().join(name)).expect("a file");
        assert_eq!(run(&["--out", name]).code, Some(1), "{name}");
        assert!(held == std::fs::read(dir.path().join(name)).expect("a file"));
    }
    let onto = ["dense", "--weights", "pack.wasm", "--manifest", "pack.toml"];
    let refused = wrap(dir.path(), &onto);
    assert!(
        refused
            .err
            .starts_with("error: pack.wasm: is where the weights come from"),
        "{}",
        refused.err
    );
    assert!(before == std::fs::read(dir.path().join("pack.wasm")).expect("a pack"));
    let left = names(dir.path());
    assert_eq!(left, ["pack.toml", "pack.wasm", "w.gguf"]);
}

/// A router by prototypes needs nothing: its own manifest says all, and it has no weights.
#[test]
fn code_without_weights_is_a_pack_by_itself() {
    let dir = folder();
    let made = wrap(dir.path(), &["prototype-router", "--json"]).json();
    assert_eq!(made["path"], "pack.wasm");
    assert_eq!(
        (&made["parameters"], &made["seeded"]),
        (&0.into(), &false.into())
    );
    assert_eq!(made["warnings"], serde_json::json!([]));
    let read = |name: &str| std::fs::read(dir.path().join(name)).expect("a pack");
    let alone = Builtin::PrototypeRouter.pack().expect("there is room");
    assert!(alone.expect("it declares no weights") == read("pack.wasm"));
    mbhost(dir.path(), &["pack", "test", "pack.wasm"]).good();

    // Weights for it are nobody's, and are said to be.
    dense(dir.path());
    let manifest = Builtin::PrototypeRouter.manifest();
    let manifest = write(dir.path().join("router/pack.toml"), manifest);
    let manifest = manifest.to_str().expect("a plain path");
    let given = [
        "prototype-router",
        "--weights",
        "w.gguf",
        "--manifest",
        manifest,
        "--json",
    ];
    let made = wrap(dir.path(), &given).json();
    assert_eq!(
        made["warnings"],
        serde_json::json!([
            "18 tensors are not declared by the pack and were left out: \
             `blk.0.attn_k.weight`, `blk.0.attn_norm.weight`, `blk.0.attn_output.weight` and more"
        ])
    );
    assert!(read("router/pack.wasm") == read("pack.wasm"));

    // Nor does it take the place of a pack whose weights somebody trained.
    wrap(dir.path(), &[&DENSE[..], &["--out", "d.wasm"]].concat()).good();
    let trained = read("d.wasm");
    wrap(dir.path(), &["prototype-router", "--out", "d.wasm"]).refused(1, TRAINED);
    assert!(read("d.wasm") == trained);
}

#[test]
fn a_wrapped_pack_is_signed_as_a_built_one_is() {
    let dir = folder();
    let (manifest, _) = dense(dir.path());
    let key = ["pack", "keygen", "--out", "key.pem"];
    let publisher = mbhost(dir.path(), &key).good();
    let sign = [&DENSE[..], &["--sign", "key.pem", "--json"]].concat();
    let made = wrap(dir.path(), &sign).json();
    assert_eq!(made["signed_by"], publisher.trim_end());
    let pack = PackFile::open(&dir.path().join("pack.wasm")).expect("a pack");
    let named = pack.signed_by().expect("a publisher").to_string();
    assert_eq!(named, publisher.trim_end());
    let read = || std::fs::read_to_string(dir.path().join("pack.toml")).expect("a manifest");
    assert_eq!(read(), manifest);

    let line = format!("publisher = \"{named}\"\nid = ");
    edit(dir.path().join("pack.toml"), "id = ", &line);
    wrap(dir.path(), &DENSE).refused(
        1,
        &format!(
            "error: pack.toml: names the publisher `{named}`, and there is no key to sign with\n\
             hint: `--sign KEY` signs a pack that is made with that publisher's private key, and a \
             pack.toml without `publisher` gets it from there\n"
        ),
    );
    wrap(dir.path(), &sign).good();
}
