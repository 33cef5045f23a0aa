import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export interface SelfSigned {
  /** Both in PEM. */
  readonly certificate: string
  readonly key: string
}

const DAY_MS = 86_400_000

/** A certificate for 127.0.0.1 that is its own authority, valid from yesterday for two days: nothing that could expire lies in the repository. */
export function selfSigned(): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const body = toBeSigned(publicKey)
  const signature = sign('sha256', body, privateKey)
  const der = sequence(body, ECDSA_WITH_SHA256, bitString(signature))
  const base64 = der.toString('base64').replaceAll(/.{64}/g, '$&\n')
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function toBeSigned(publicKey: KeyObject): Buffer {
  const name = sequence(tagged(0x31, sequence(oid('550403'), tagged(0x0c, Buffer.from('geo spec')))))
  const validity = sequence(time(Date.now() - DAY_MS), time(Date.now() + DAY_MS))
  const constraints = extension('551d13', sequence(tagged(0x01, Buffer.of(0xff))))
  const alternativeName = extension('551d11', sequence(tagged(0x87, Buffer.of(127, 0, 0, 1))))
  return sequence(
    tagged(0xa0, tagged(0x02, Buffer.of(2))),
    tagged(0x02, Buffer.of(1)),
    ECDSA_WITH_SHA256,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(constraints, alternativeName)),
  )
}

function tagged(tag: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content)
  const length = body.length < 0x80 ? Buffer.of(body.length) : Buffer.of(0x82, body.length >> 8, body.length & 0xff)
  return Buffer.concat([Buffer.of(tag), length, body])
}

function sequence(...content: Buffer[]): Buffer {
  return tagged(0x30, ...content)
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'))
}

function bitString(bytes: Buffer): Buffer {
  return tagged(0x03, Buffer.of(0), bytes)
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), tagged(0x04, value))
}

function time(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return tagged(0x17, Buffer.from(digits.slice(2)))
}

const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'))
