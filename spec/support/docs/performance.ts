import { readFile } from 'node:fs/promises'
import { table } from './markdown.ts'

const DOCS = new URL('../../../docs/', import.meta.url)
const BEGIN = '<!-- figures: npm run bench -- --json > docs/performance.jsonl && npm run docs -->'
const END = '<!-- end of figures -->'

interface Line {
  readonly name: string
  readonly title: string
  readonly reach: string
  readonly measured: string
  readonly reached: boolean
}

/** What people have written of the figures, with the table of what the last run of all benchmarks has told between two marks. */
export async function performancePage(): Promise<string> {
  const read = (name: string): Promise<string> => readFile(new URL(name, DOCS), 'utf8')
  const [page, told] = [await read('performance.md'), await read('performance.jsonl')]
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`docs/performance.md has no "${BEGIN}" with "${END}" after it`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${figures(told)}\n\n${page.slice(end)}`
}

function figures(told: string): string {
  const [machine, ...lines] = told
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown)
  const about = Object.entries(machine as Record<string, string | number>)
    .filter(([key]) => key !== 'name')
    .map(([key, value]) => `${key} ${value}`)
  const rows = (lines as Line[]).map(({ name, title, reach, measured, reached }) => [
    `\`${name}\``,
    title,
    reach,
    measured,
    reach === 'none' ? '' : reached ? 'yes' : '**no**',
  ])
  return `${about.join(', ')}.\n\n${table(['name', 'what', 'asked for', 'measured', 'reached'], rows)}`
}
