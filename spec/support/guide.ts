import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** A fenced block of a guide. */
export interface GuideBlock {
  /** `sh`, `js`, `ts`, `diff`, `sql` … */
  readonly language: string
  /** What follows it: the file that it is or changes, or the terminal in which it is typed. */
  readonly subject: string | null
  readonly text: string
  /** Of the line after the fence, counted from one. */
  readonly line: number
}

const GUIDES = fileURLToPath(new URL('../../docs/guides/', import.meta.url))

export async function readGuide(name: string): Promise<GuideBlock[]> {
  return blocksOf(await readFile(`${GUIDES}${name}`, 'utf8'))
}

/** @throws Error for a fence that is never closed */
export function blocksOf(markdown: string): GuideBlock[] {
  const blocks: GuideBlock[] = []
  const lines = markdown.split('\n')
  for (let at = 0; at < lines.length; at += 1) {
    const [, language, subject] = /^```(\w+)(?: (.+))?$/.exec(lines[at] ?? '') ?? []
    if (!language) continue
    const end = lines.indexOf('```', at)
    if (end < 0) throw new Error(`The block at line ${at + 1} is not closed`)
    const text = `${lines.slice(at + 1, end).join('\n')}\n`
    blocks.push({ language, subject: subject ?? null, text, line: at + 2 })
    at = end
  }
  return blocks
}
