import type { Knex } from 'knex'
import { z } from 'zod'
import { AllowedIps, EVERY_IP } from './allowed-ips.ts'
import { messageOf } from './errors.ts'

/** The options whose values take more than a word to describe: each is checked, and made what the rest of the SDK takes. */

export const knexInstance = z.custom<Knex>((value) => {
  const config = (value as Knex | undefined)?.client?.config as Knex.Config | undefined
  return typeof value === 'function' && /^(pg|postgres|postgresql|pgnative)$/.test(String(config?.client))
}, 'must be a Knex instance for PostgreSQL (client: pg)')

const certificate = z
  .union([z.string(), z.instanceof(Uint8Array).transform((bytes) => Buffer.from(bytes).toString('utf8'))])
  .refine((pem) => pem.includes('-----BEGIN CERTIFICATE-----'), 'must be a certificate in PEM')

export const certificates = z
  .union([certificate.transform((pem) => [pem]), z.array(certificate)], 'must be certificates in PEM')
  .default([])
  .transform((pems): readonly string[] => Object.freeze(pems))

export const allowedIps = z
  .union([z.string().transform((text) => text.split(',')), z.array(z.string())], 'must be addresses')
  .default([...EVERY_IP])
  .transform((entries, { addIssue }) => {
    try {
      return new AllowedIps(entries.map((entry) => entry.trim()))
    } catch (reason) {
      addIssue(messageOf(reason))
      return z.NEVER
    }
  })

const MOST_KEYS = 8

export const encryptionKeys = z
  .union([z.string().transform((key) => [key]), z.array(z.string())], 'must be a key or a list of keys')
  .transform((texts, { addIssue }) => {
    const keys = texts.map((text) => Buffer.from(text, /^[0-9a-f]{64}$/i.test(text) ? 'hex' : 'base64'))
    if (keys.length < 1 || keys.length > MOST_KEYS) addIssue(`must be 1 to ${MOST_KEYS} keys`)
    if (keys.some((key) => key.length !== 32)) addIssue('must be 32 bytes as hex or base64')
    return keys
  })
