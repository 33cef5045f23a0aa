import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'

interface LockedPackage {
  readonly integrity?: string
  readonly resolved?: string
  readonly link?: boolean
}

it('Every package of the lockfile is bound to its bytes, and to no host that it is to come from', async () => {
  const text = await readFile(new URL('../package-lock.json', import.meta.url), 'utf8')
  const { packages } = JSON.parse(text) as { packages: Record<string, LockedPackage> }
  const { '': ours, ...locked } = packages
  expect(ours).toBeDefined()
  expect(Object.keys(locked).length).toBeGreaterThan(100)
  const loose = Object.entries(locked).filter(
    ([, { integrity, resolved, link }]) =>
      !/^sha512-[\w+/]{86}==$/.test(integrity ?? '') || resolved !== undefined || link,
  )
  expect(loose.map(([name]) => name)).toEqual([])
})
