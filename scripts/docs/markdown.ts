/** The text without fenced blocks and inline code: what is rendered as prose. */
function prose(markdown: string): string {
  return markdown.replaceAll(/^(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1[ \t]*$/gm, '').replaceAll(/`[^`\n]+`/g, '');
}

/** The targets of links and images in a Markdown text, as written. */
export function linkTargets(markdown: string): string[] {
  const inline = [...prose(markdown).matchAll(/\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/g)];
  const references = [...prose(markdown).matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)];
  return [...inline, ...references].map(([, target = '']) => target);
}

/** The anchors that a Markdown text offers: headings as code hosts name them, and `<a id>`. */
export function anchors(markdown: string): ReadonlySet<string> {
  const withoutBlocks = markdown.replaceAll(/^(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1[ \t]*$/gm, '');
  const found = new Set([...withoutBlocks.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id));
  const seen = new Map<string, number>();
  for (const [, title = ''] of withoutBlocks.matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = slugOf(title);
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    found.add(times === 0 ? slug : `${slug}-${times}`);
  }
  return found;
}

function slugOf(title: string): string {
  return title
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

/** The fenced blocks of one language, without their fences. */
export function codeBlocks(markdown: string, language: string): string[] {
  const blocks = markdown.matchAll(/^```([\w-]*)[^\n]*\n([\s\S]*?)^```[ \t]*$/gm);
  return [...blocks].filter(([, name]) => name === language).map(([, , text = '']) => text);
}
