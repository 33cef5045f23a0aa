import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkKey } from '../../lib/blob/key.ts'
import { GeoError } from '../../lib/errors.ts'

const hostile: Record<string, string> = {
  'the empty key': '',
  'a NUL character': 'a\0b',
  'half a surrogate pair': 'a\ud800',
  'an absolute path': '/etc/passwd',
  'the folder itself': '.',
  'the folder above': '..',
  'a way up at the front': '../x',
  'a way up in the middle': 'a/../../x',
  'a way up at the end': 'a/..',
  'a dot on the way': 'a/./b',
  'a slash at the end': 'a/',
  'two slashes': 'a//b',
  'the marker of the store': '.geo-store.json',
  'a temporary file': 'a/.geo-tmp-1',
  'a folder with a reserved name': '.geo-x/a',
  'a reserved name with a character that some disks leave out': '.g\u200ceo-store.json',
  'a way up with a character that some disks leave out': 'a/.\u200d./x',
  'a key of over 1024 bytes': `${'a/'.repeat(512)}b`,
  'a segment of over 255 bytes': 'é'.repeat(128),
  'a segment of over 255 plain characters': `a/${'b'.repeat(256)}`,
  'a plain name with a way up behind it': 'a.b-c_d/..',
  'a plain name with a NUL character behind it': 'a-b.c\0',
  'a plain name with a slash in front': '/a-b.c',
}

const legal = [
  'a',
  'a/b/c',
  '.hidden',
  '...',
  'a..b',
  '..a',
  'a.',
  '-a_b.c/9/A-z',
  'a\n',
  'a b',
  'ü/日本',
  '%2e%2e/x',
  '\u{1f469}\u200d\u{1f680}/x',
  'C:\\x',
  'geo-tmp',
  'a\nb',
  '~',
]

describe('a key of the host', () => {
  for (const [title, key] of Object.entries(hostile)) {
    it(`cannot be ${title}`, () => {
      let thrown: unknown
      try {
        checkKey(key)
      } catch (reason) {
        thrown = reason
      }
      expect(thrown).toBeInstanceOf(GeoError)
      expect(thrown).toMatchObject({ code: 'INVALID_KEY', status: 422 })
    })
  }

  for (const key of legal) {
    it(`can be ${JSON.stringify(key)}, and stays as it is below the root`, () => {
      expect(checkKey(key)).toBe(key)
      expect(join('/root', key).startsWith('/root/')).toBe(true)
    })
  }

  it('can be as long as the limits, which count bytes', () => {
    expect(() => checkKey('a'.repeat(255))).not.toThrow()
    expect(() => checkKey('a'.repeat(256))).toThrow('over 255 bytes')
    expect(() => checkKey(`${'a/'.repeat(511)}bb`)).not.toThrow()
  })

  it('does not flood the log when it is refused', () => {
    expect(() => checkKey('\0'.repeat(100_000))).toThrow(/^.{1,1400}$/)
  })
})
