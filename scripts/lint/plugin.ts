import { isEntry, isProductCode, refusal } from './floors.ts';
import { hasSelectStar } from './select-star.ts';

interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly source?: Node | null;
  readonly quasis?: readonly { readonly value: { readonly raw: string } }[];
}

interface Context {
  readonly filename: string;
  report(problem: { readonly node: Node; readonly message: string }): void;
}

type Visitor = Readonly<Record<string, (node: Node) => void>>;

interface Rule {
  readonly create: (context: Context) => Visitor;
}

/** The module specifier of an import, re-export, or `import()` of a literal. */
function specifierOf(node: Node): string | undefined {
  return typeof node.source?.value === 'string' ? node.source.value : undefined;
}

/** Imports point downwards, and only to what a package may know: see floors.ts. */
const floors: Rule = {
  create(context) {
    const file = context.filename.replaceAll('\\', '/');
    const check = (node: Node): void => {
      const specifier = specifierOf(node);
      const message = specifier === undefined ? undefined : refusal(file, specifier);
      if (message !== undefined) context.report({ node, message });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      TSImportType: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
    };
  },
};

/** Only a package's public entry re-exports; a barrel inside hides who needs what. */
const barrels: Rule = {
  create(context) {
    const file = context.filename.replaceAll('\\', '/');
    if (!isProductCode(file)) return {};
    const check = (node: Node): void => {
      if (specifierOf(node) === undefined) return;
      if (node.type === 'ExportAllDeclaration') {
        context.report({ node, message: 'Name what is exported: no `export *`.' });
      } else if (!isEntry(file)) {
        context.report({ node, message: "Only a package's public entry may re-export." });
      }
    };
    return { ExportNamedDeclaration: check, ExportAllDeclaration: check };
  },
};

/** Product SQL names its columns. The `.sql` files have the same check in scripts/check/sql-files.ts. */
const selectStar: Rule = {
  create(context) {
    if (!isProductCode(context.filename.replaceAll('\\', '/'))) return {};
    const check = (node: Node, text: string): void => {
      if (hasSelectStar(text)) context.report({ node, message: 'Name the columns: no `select *`.' });
    };
    return {
      Literal(node) {
        if (typeof node.value === 'string') check(node, node.value);
      },
      TemplateLiteral(node) {
        check(node, (node.quasis ?? []).map((quasi) => quasi.value.raw).join('x'));
      },
    };
  },
};

/** `replication/` reads any publication; which tables there are is for the floors above. */
const noTable: Rule = {
  create(context) {
    const file = context.filename.replaceAll('\\', '/');
    if (!isProductCode(file) || !file.includes('packages/runtime/src/replication/')) return {};
    const check = (node: Node, text: string): void => {
      if (/\bevent_runtime\./.test(text)) {
        context.report({ node, message: 'replication/ knows no table of the schema event_runtime.' });
      }
    };
    return {
      Literal(node) {
        if (typeof node.value === 'string') check(node, node.value);
      },
      TemplateLiteral(node) {
        check(node, (node.quasis ?? []).map((quasi) => quasi.value.raw).join('x'));
      },
    };
  },
};

/** The rules of this repository that no linter brings. Oxlint loads a plugin by its default export. */
const plugin: { readonly meta: { readonly name: string }; readonly rules: Readonly<Record<string, Rule>> } = {
  meta: { name: 'event-runtime' },
  rules: {
    floors,
    'no-inner-barrel': barrels,
    'no-select-star': selectStar,
    'replication-knows-no-table': noTable,
  },
};

export default plugin;
