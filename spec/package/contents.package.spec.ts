import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { describe, expect, inject, it } from 'vitest'

const MIB = 2 ** 20
const tarball = inject('tarball')
const bytes = readFileSync(tarball)

function contents(): string[] {
  return execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' })
    .trimEnd()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''))
}
const textOf = (path: string) => execFileSync('tar', ['-xzOf', tarball, `package/${path}`], { encoding: 'utf8' })

describe('the packed package', () => {
  it('holds the build, reference and guides, the licence and nothing else', () => {
    const strangers = contents().filter(
      (path) =>
        !/^dist\/(lib|migrations)\/.*\.(js|d\.ts)$/.test(path) &&
        !/^dist\/lib\/(view\/graphql\/|testing\/)?index\.(cjs|d\.cts)$/.test(path) &&
        !/^dist\/lib\/view\/admin\/assets\/admin\.(css|js)$/.test(path) &&
        !/^docs\/(guides\/)?[\w-]+\.(md|json|yaml|graphql)$/.test(path) &&
        !['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE'].includes(path),
    )
    expect(strangers).toEqual([])
  })

  it('lacks nothing that is loaded by its path alone', () => {
    expect(contents()).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'docs/alerts.yaml',
        'docs/dashboard.json',
        'dist/lib/cli/geo.js',
        'dist/lib/verification/checksum-thread.js',
        'dist/lib/transfer/transfer-thread.js',
        'dist/lib/sweep/walk-thread.js',
        'dist/lib/view/admin/assets/admin.css',
        'dist/lib/view/admin/assets/admin.js',
      ]),
    )
    expect(contents().filter((path) => /^dist\/migrations\/(main|tracking)\/\d+.*\.js$/.test(path)).length).toBe(
      execFileSync('git', ['ls-files', 'migrations'], { encoding: 'utf8' }).trimEnd().split('\n').length,
    )
  })

  it('points to no source map, for there is none', () => {
    expect(contents().filter((path) => path.endsWith('.map'))).toEqual([])
    expect(textOf('dist/lib/index.js')).not.toContain('sourceMappingURL')
  })

  it('is small', () => {
    expect(statSync(tarball).size).toBeLessThan(MIB)
    expect(contents().length).toBeLessThan(1500)
  })

  it('leaves publint with nothing to say', async () => {
    const { messages } = await publint({
      pack: { tarball: new Uint8Array(bytes).buffer },
      level: 'suggestion',
      strict: true,
    })
    expect(messages).toEqual([])
  })

  it('leaves attw with nothing to say, of every way in which Node 16 and later and bundlers resolve it', async () => {
    const analysis = await checkPackage(createPackageFromTarballData(new Uint8Array(bytes)))
    if (analysis.types === false) throw new Error('It has no types')
    // TypeScript's resolution of Node 10 knows no `exports` at all.
    const problems = analysis.problems.filter(
      (problem) => !('resolutionKind' in problem && problem.resolutionKind === 'node10'),
    )
    expect(problems).toEqual([])
    expect(Object.keys(analysis.entrypoints).sort()).toEqual(['.', './graphql', './package.json', './testing'])
  })
})
