import { access, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES } from '../../lib/errors.ts'
import { ROOT } from '../support/entries.ts'
import { GUIDES, guideText, readGuide } from '../support/guide.ts'

/** Which spec proves the blocks of a language. Those of the guide for newcomers are followed by spec/package. */
const PROVED_BY: Readonly<Record<string, string>> = {
  ts: 'types.spec.ts, and modules.spec.ts where it does what a compiler does not see',
  yaml: 'files.spec.ts',
  sql: 'replica.spec.ts and fail-over.spec.ts; the roles by every spec with databases (spec/support/global-setup.ts) and roles.spec.ts',
  conf: 'replica.spec.ts',
  hba: 'replica.spec.ts',
}
/** What is typed is proved guide by guide. */
const TYPED_IN: Readonly<Record<string, string>> = {
  'add-a-type.md': 'spec/package/guide.package.spec.ts',
  'change-keys.md': 'commands.spec.ts',
  'fail-over.md': 'fail-over.spec.ts',
  'monitor.md': 'commands.spec.ts',
  'postgresql-replicas.md': 'replica.spec.ts',
  'selective-sync.md': 'commands.spec.ts',
  'several-processes.md': 'commands.spec.ts and spec/package/guide.package.spec.ts',
  'troubleshoot.md': 'commands.spec.ts',
  'upgrade.md': 'spec/package/guide.package.spec.ts',
}
/** Of the environment, as the guides name them. */
const VARIABLES = ['GEO_ENCRYPTION_KEY', 'GEO_TEST_DATABASE_URL', 'TRACKING_DATABASE_URL']
const FOLLOWED = 'add-to-an-existing-app.md'

const REFERENCE = await readFile(join(ROOT, 'docs/cli.md'), 'utf8')
/** What stands in docs/cli.md, which is generated, by the command. */
const HELP = new Map(
  REFERENCE.split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section] as const),
)

/** As GitHub writes them. */
function anchors(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

describe.each(GUIDES)('%s', (name) => {
  it('has only blocks of languages that are known here', async () => {
    if (name === FOLLOWED) return
    const { length } = (await guideText(name)).match(/^\s*(```|~~~)/gm) ?? []
    const blocks = await readGuide(name)
    expect(length ?? 0, 'fences that are indented or of another kind are not seen').toBe(blocks.length * 2)
    for (const { language, line } of blocks) {
      if (language === 'sh') expect(Object.keys(TYPED_IN), `line ${line}`).toContain(name)
      else expect(Object.keys(PROVED_BY), `line ${line}`).toContain(language)
    }
  })
})

describe.each([
  'README.md',
  'SECURITY.md',
  'docs/performance.md',
  'docs/reliability.md',
  'docs/scale.md',
  'docs/threat-model.md',
  ...GUIDES.map((name) => `docs/guides/${name}`),
])('%s', (name) => {
  const textOf = () => readFile(join(ROOT, name), 'utf8')

  it('leads only to what there is', async () => {
    const text = await textOf()
    for (const [, to = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      expect(to).not.toMatch(/^https?:/)
      const [file = '', anchor] = to.split('#')
      const path = file === '' ? join(ROOT, name) : join(ROOT, dirname(name), file)
      await expect(access(path), to).resolves.toBeUndefined()
      expect(relative(ROOT, path), 'outside the package').not.toMatch(/^\.\./)
      if (anchor !== undefined) expect(anchors(await readFile(path, 'utf8')), to).toContain(anchor)
    }
    for (const [, path = ''] of text.matchAll(/`(fixtures\/[\w./-]+)`/g)) await access(join(ROOT, path))
  })

  it('names only codes, commands and options that there are', async () => {
    const text = await textOf()
    for (const [, code] of text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)) {
      if (!VARIABLES.includes(String(code))) expect(Object.keys(ERROR_CODES)).toContain(code)
    }
    for (const [, line = ''] of text.matchAll(/\bnpx (geo [^`\n]*)/g)) {
      const words = line.trim().split(/\s+/)
      const lengths = [3, 2].filter((length) => HELP.has(words.slice(0, length).join(' ')))
      const command = words.slice(0, lengths[0] ?? 0).join(' ')
      expect(HELP.has(command), line).toBe(true)
      for (const option of words.filter((word) => word.startsWith('--')))
        expect(HELP.get(command), line).toContain(option)
    }
  })
})

it('docs/threat-model.md names for each claim specifications that there are', async () => {
  const text = await readFile(join(ROOT, 'docs/threat-model.md'), 'utf8')
  const tables = text.split('\n\n').filter((block) => block.startsWith('| claim | held by |'))
  expect(tables.length).toBeGreaterThan(4)
  for (const row of tables.flatMap((table) => table.trim().split('\n').slice(2))) {
    const paths = [...row.matchAll(/`(spec\/[\w./-]+\.spec\.ts)`/g)].map(([, path = '']) => path)
    expect(paths.length, row).toBeGreaterThan(0)
    for (const path of paths) await expect(access(join(ROOT, path)), path).resolves.toBeUndefined()
  }
})

it('docs/reliability.md names only specifications and commands that there are', async () => {
  const text = await readFile(join(ROOT, 'docs/reliability.md'), 'utf8')
  const paths = [...text.matchAll(/`(spec\/[\w./-]+\.ts)`/g)].map(([, path = '']) => path)
  expect(paths.length).toBeGreaterThan(10)
  for (const path of paths) await expect(access(join(ROOT, path)), path).resolves.toBeUndefined()
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }
  for (const [, script] of text.matchAll(/`npm run ([\w:]+)/g)) expect(Object.keys(scripts)).toContain(script)
})

it('Every guide is reached from another or from README.md', async () => {
  const texts = [await readFile(join(ROOT, 'README.md'), 'utf8'), ...(await Promise.all(GUIDES.map(guideText)))]
  const reached = GUIDES.filter((name) => texts.some((text) => new RegExp(`[(/]${name}[)#]`).test(text)))
  expect(reached).toEqual(GUIDES)
})

it('troubleshoot.md says where to look for each code of the catalogue, and for no other', async () => {
  const rows = (await guideText('troubleshoot.md')).split('\n').filter((line) => line.startsWith('| `'))
  const told = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code))
  expect(told.sort()).toEqual(Object.keys(ERROR_CODES).sort())
})
