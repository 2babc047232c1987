// Runs the tests of kosko's lint rules, but for the rules: each test says which
// manifests it is about, and which issues it expects. Standard input is the
// texts of the tests by name, as JSON; standard output the cases.
const vm = require("node:vm");

const tests = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const cases = [];

// model is the class of a kind that kubernetes-models exports by that path.
function model(kind, path) {
  const apiVersion = path.replace(/^(@kubernetes-models\/[^/]+|kubernetes-models)\//, "").replace(new RegExp(`/${kind}$`), "");
  return class {
    constructor(fields) {
      Object.assign(this, { apiVersion, kind }, fields);
    }
  };
}

function run(check, text) {
  const names = [];
  let before = [];
  const each = (call) => (table) => (name, body) => table.forEach((row) => call(name.replace("%s", row), () => body(row)));
  const describe = (name, body) => {
    const outside = before;
    names.push(name);
    body();
    names.pop();
    before = outside;
  };
  const beforeEach = (body) => {
    before = [...before, body];
  };
  const test = (name, body) =>
    describe(name, () => {
      before.forEach((b) => b());
      body();
    });
  describe.each = each(describe);
  test.each = each(test);
  // Tests with a configuration are of what it says, and none are compared.
  const validateAll = (rule, config, manifests) => ({ manifests: config === undefined ? manifests : [] });
  const expect = ({ manifests = [] } = {}) => {
    const demand = (flagged) => {
      if (manifests.length > 0 && manifests.every((m) => m?.apiVersion && m.kind)) {
        cases.push({ check, name: names.join(": "), manifests, flagged });
      }
    };
    return { toBeEmpty: () => demand(false), toEqual: (issues) => demand(issues.length > 0) };
  };
  const globals = { describe, beforeEach, test, expect, model, validateAll, validate: (rule, config, m) => validateAll(rule, config, [m]), createManifest: (data) => data };
  const script = text
    .replace(/^import (?:type )?\{([^}]*)\} from "([^"]+)";/gms, (_, list, from) =>
      from.includes("kubernetes-models/") ? list.split(",").map((n) => n.trim().split(" as ")).map(([kind, as = kind]) => `const ${as} = model("${kind}", "${from}");`).join(" ") : ""
    )
    .replace(/^import rule from .*/m, "const rule = undefined;")
    .replace(/ as const|: Manifest(?=;)/g, "");
  vm.runInNewContext(script, globals, { filename: check });
}

for (const [check, text] of Object.entries(tests)) run(check, text);
process.stdout.write(JSON.stringify(cases));
