import { describe, expect, it } from 'vitest'
import { hostOf, isAtHost, parseRedirectHost } from '../lib/redirect-hosts.ts'

describe('a host that an operator names', () => {
  it.each([
    ['files.example', 'files.example'],
    [' Files.Example ', 'files.example'],
    ['files.example:9000', 'files.example:9000'],
    ['10.0.0.5', '10.0.0.5'],
    ['10.0.0.5:443', '10.0.0.5:443'],
    ['0x7f.1', '127.0.0.1'],
    ['[::1]', '[::1]'],
    ['[0:0::1]:9000', '[::1]:9000'],
    ['b\u00fccher.example', 'xn--bcher-kva.example'],
    ['localhost', 'localhost'],
  ])('%j is %s', (entry, host) => {
    expect(parseRedirectHost(entry)).toBe(host)
  })

  it.each([
    '',
    ' ',
    'https://files.example',
    'files.example/path',
    'files.example?x',
    'files.example#x',
    'user@files.example',
    'user:pass@files.example',
    'a b',
    'files.example:',
    'files.example:0',
    'files.example:65536',
    'files.example:http',
    'files.example:80:80',
    '*.example',
    '*',
    'a\\b',
    'a%2eb',
    '::1',
    '[::1',
    '999.1.1.1',
    'a\0b',
  ])('%j is none', (entry) => {
    expect(parseRedirectHost(entry)).toBeNull()
  })
})

describe('an address', () => {
  it.each([
    ['http://files.example/x', 'files.example'],
    ['https://files.example/x', 'files.example'],
    ['https://FILES.example:443/x', 'files.example'],
    ['https://files.example/x', 'files.example:443'],
    ['http://files.example/x', 'files.example:80'],
    ['http://files.example:9000/x', 'files.example:9000'],
    ['http://[::1]:9000', '[::1]:9000'],
    ['http://2130706433/', '127.0.0.1'],
  ])('%s lies at %s', (url, host) => {
    expect(isAtHost(url, ['other.example', host])).toBe(true)
  })

  it.each([
    ['http://files.example:8080/x', 'files.example'],
    ['https://files.example:80/x', 'files.example'],
    ['http://files.example/x', 'files.example:443'],
    ['http://files.example.evil/x', 'files.example'],
    ['http://evil-files.example/x', 'files.example'],
    ['http://sub.files.example/x', 'files.example'],
    ['http://files.example@evil/x', 'files.example'],
    ['http://evil\\@files.example/x', 'files.example'],
    ['http://evil/files.example', 'files.example'],
    ['http://169.254.169.254/latest', 'files.example'],
    ['http://', 'files.example'],
    ['', 'files.example'],
  ])('%s does not lie at %s', (url, host) => {
    expect(isAtHost(url, [host])).toBe(false)
  })

  it('of a site is compared with its port', () => {
    expect(hostOf('https://tokyo.example:8443/geo/')).toBe('tokyo.example:8443')
    expect(hostOf('https://tokyo.example/')).toBe('tokyo.example')
  })
})
