import { expect, it } from 'vitest'
import { type Failure, keep } from './failures.ts'

it('Of what is said at several looks the first is kept that says why', () => {
  const found = new Map<string, Failure>()
  const looks = (...texts: string[]) => {
    found.clear()
    for (const text of texts) keep(found, 'paris: widgets/1', { site: 'paris', record: 'widgets/1', text })
    return found.get('paris: widgets/1')?.text
  }
  expect(looks('1', '2: STORAGE_ERROR: EIO', '2')).toBe('2: STORAGE_ERROR: EIO')
  expect(looks('1: STORAGE_ERROR: EIO', '2: FILE_MISSING')).toBe('1: STORAGE_ERROR: EIO')
  expect(looks('1', '2'), 'where none says why').toBe('2')
})
