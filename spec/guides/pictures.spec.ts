import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT } from '../support/entries.ts'
import { GUIDES } from '../support/guide.ts'

const MOST_BYTES = 200 * 1024
const LEAST_SAID = 20
const PAGES = ['README.md', ...GUIDES.map((name) => `docs/guides/${name}`)]

interface Shown {
  readonly page: string
  /** Below the root. */
  readonly path: string
  readonly said: string
}

async function shownOn(page: string): Promise<Shown[]> {
  const text = await readFile(join(ROOT, page), 'utf8')
  expect(text, 'pictures are Markdown, so that they are seen here').not.toMatch(/<(img|picture)\b/)
  return [...text.matchAll(/!\[([^\]]*)\]\(([^)]*)\)/g)].map(([, said = '', path = '']) => ({
    page,
    path: join(dirname(page), path),
    said,
  }))
}
const shown = (await Promise.all(PAGES.map(shownOn))).flat()

describe.each(shown)('The picture $path on $page', ({ path, said }) => {
  it('is there, small, and a PNG', async () => {
    expect((await stat(join(ROOT, path))).size).toBeLessThan(MOST_BYTES)
    expect((await readFile(join(ROOT, path))).toString('latin1', 1, 4)).toBe('PNG')
  })

  it('says what it shows to whoever does not see it', () => {
    expect(said.length).toBeGreaterThan(LEAST_SAID)
  })
})

it('Every picture is shown', async () => {
  const taken = (await readdir(join(ROOT, 'docs/pictures'))).map((name) => `docs/pictures/${name}`)
  expect(taken.length).toBeGreaterThan(0)
  expect([...new Set(shown.map(({ path }) => path))].sort()).toEqual(taken.sort())
})
