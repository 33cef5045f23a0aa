/** What a command has written to a terminal, as a page that looks like one. */

const COLOURS: Readonly<Record<string, string>> = { '2': 'aside', '31': 'bad', '32': 'good', '33': 'heading' }

export interface Typed {
  readonly command: string
  readonly output: string
}

const STYLE = `
  body { margin: 0; display: inline-block; background: #f6f7f9; padding: 16px; }
  main { border-radius: 8px; overflow: hidden; border: 1px solid #d5dae2; background: #fff; }
  header { background: #eef1f5; border-bottom: 1px solid #d5dae2; padding: 8px 14px; font: 13px "Liberation Sans", sans-serif; color: #525c6b; }
  pre { margin: 0; padding: 14px 20px 18px; font: 14px/1.4 "DejaVu Sans Mono", monospace; color: #1b2129; }
  .prompt { color: #1a56b0; }
  b { font-weight: 700; }
  .heading { color: #7a5200; }
  .good { color: #1a6b3c; }
  .bad { color: #a82323; }
  .aside { color: #525c6b; }`

export function terminalPage(title: string, typed: readonly Typed[]): string {
  const parts = typed.map(
    ({ command, output }) => `<span class="prompt">$</span> <b>${escaped(command)}</b>\n${coloured(output)}`,
  )
  return `<!doctype html><meta charset="utf-8"><style>${STYLE}</style>
<main><header>${escaped(title)}</header><pre>${parts.join('\n')}</pre></main>`
}

function coloured(output: string): string {
  const [first = '', ...rest] = escaped(output.trimEnd()).split('\u001b[')
  // Each piece begins with the number of a colour; 0 ends one.
  const pieces = rest.map((piece) => {
    const [, number = '', text = ''] = /^(\d+)m([\s\S]*)$/.exec(piece) ?? []
    return number === '0' ? `</span>${text}` : `<span class="${COLOURS[number]}">${text}`
  })
  return `${first}${pieces.join('')}\n`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
