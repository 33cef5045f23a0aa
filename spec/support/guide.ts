import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** A fenced block of a guide. */
export interface GuideBlock {
  /** `sh`, `js`, `ts`, `diff`, `sql` …; empty where the fence names none. */
  readonly language: string
  /** What follows it: the file that it is or changes, or the terminal in which it is typed. */
  readonly subject: string | null
  readonly text: string
  /** Of the line after the fence, counted from one. */
  readonly line: number
}

const FOLDER = fileURLToPath(new URL('../../docs/guides/', import.meta.url))

/** Their files' names. */
export const GUIDES: readonly string[] = readdirSync(FOLDER).sort()

export function guideText(name: string): Promise<string> {
  return readFile(`${FOLDER}${name}`, 'utf8')
}

export async function readGuide(name: string): Promise<GuideBlock[]> {
  return blocksOf(await guideText(name))
}

/** @throws Error for a fence that is never closed */
export function blocksOf(markdown: string): GuideBlock[] {
  const blocks: GuideBlock[] = []
  const lines = markdown.split('\n')
  for (let at = 0; at < lines.length; at += 1) {
    const [fence, language, subject] = /^```(\w*)(?: (.+))?$/.exec(lines[at] ?? '') ?? []
    if (fence === undefined) continue
    const end = lines.indexOf('```', at)
    if (end < 0) throw new Error(`The block at line ${at + 1} is not closed`)
    const text = `${lines.slice(at + 1, end).join('\n')}\n`
    blocks.push({ language: language ?? '', subject: subject ?? null, text, line: at + 2 })
    at = end
  }
  return blocks
}
