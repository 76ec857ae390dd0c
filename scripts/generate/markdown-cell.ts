/** Text of a Markdown table cell: a bar would end the cell; `<role>` outside of code would be taken for HTML. */
export function cell(text: string): string {
  return text
    .replaceAll('|', '\\|')
    .replaceAll('\n', ' ')
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`');
}
