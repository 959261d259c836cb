/**
 * The house's own lint rules, for `lint.plugins` in `deno.json`: who imports whom, who loads the
 * native library, who prints, who follows signals. Files outside `src/` are not looked at.
 */
import { importedRoom, placeOf, refusal } from "./rooms.ts";

const PRINTS = new Set(["stdout", "stderr", "exit", "exitCode"]);

const plugin: Deno.lint.Plugin = {
  name: "wormhole",
  rules: {
    "import-table": { create: importTable },
    "native-seam": { create: nativeSeam },
    "only-cli-prints": { create: onlyCliPrints },
    "any-signal": { create: usesAnySignal },
  },
};

export default plugin;

/** Reports imports, re-exports, dynamic imports and type imports that the import table does not allow. */
function importTable(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  const place = placeOf(context.filename);
  if (!place || place.test) return {};
  const check = (node: Deno.lint.Node, source: Deno.lint.Node | null | undefined) => {
    if (source?.type !== "Literal" || typeof source.value !== "string") return;
    const room = importedRoom(context.filename, source.value);
    const message = room === undefined ? undefined : refusal(place.room, room);
    if (message) context.report({ node, message });
  };
  return {
    ImportDeclaration: (node) => check(node, node.source),
    ExportNamedDeclaration: (node) => check(node, node.source),
    ExportAllDeclaration: (node) => check(node, node.source),
    ImportExpression: (node) => check(node, node.source),
    TSImportType: (node) => check(node, literalOf(node.argument)),
  };
}

/** Reports `Deno.dlopen` outside `src/native`, tests included. */
function nativeSeam(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  const place = placeOf(context.filename);
  if (!place || place.room === "native") return {};
  return {
    MemberExpression: (node) => {
      if (names(node).join(".") === "Deno.dlopen") {
        context.report({ node, message: "Only src/native loads the native library" });
      }
    },
  };
}

/** Reports printing and exiting outside `src/cli`; tests may. */
function onlyCliPrints(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  const place = placeOf(context.filename);
  if (!place || place.test || place.room === "cli") return {};
  return {
    MemberExpression: (node) => {
      const [object, property] = names(node);
      if (object === "console") {
        context.report({ node, message: `Only src/cli prints: console.${property}` });
      } else if ((object === "Deno" || object === "process") && PRINTS.has(property)) {
        context.report({ node, message: `Only src/cli prints and exits: ${object}.${property}` });
      }
    },
  };
}

/** Reports `AbortSignal.any`, whose listeners Deno before 2.8 may forget. */
function usesAnySignal(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  const place = placeOf(context.filename);
  if (!place || context.filename.endsWith("/src/base/any_signal.ts")) return {};
  return {
    MemberExpression: (node) => {
      if (names(node).join(".") === "AbortSignal.any") {
        context.report({ node, message: "Use anySignal() of src/base/any_signal.ts" });
      }
    },
  };
}

/** Gives the string in `import("…")` as a type, whichever way the version of Deno wraps it. */
function literalOf(argument: unknown): Deno.lint.Node {
  const node = argument as { type: string; literal?: Deno.lint.Node };
  return node.literal ?? (node as Deno.lint.Node);
}

/** Gives `[object, property]` of `object.property` and `object["property"]`, "" for anything else. */
function names(node: Deno.lint.MemberExpression): [string, string] {
  const object = node.object.type === "Identifier" ? node.object.name : "";
  const property = node.property.type === "Identifier" && !node.computed
    ? node.property.name
    : node.property.type === "Literal"
    ? String(node.property.value)
    : "";
  return [object, property];
}
