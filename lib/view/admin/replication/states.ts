import type { SafeHtml } from '@remix-run/html-template'
import type { SyncState } from '../../../registry/sync-state.ts'
import type { VerificationState } from '../../../verification/verification-state.ts'
import { badge, type Tone } from '../parts/badge.ts'

/** The states of both machines as people read them (GB.J.3). */

const SYNC_WORDS: Readonly<Record<SyncState, readonly [Tone, string]>> = Object.freeze({
  pending: ['warn', 'Sync pending'],
  started: ['busy', 'Syncing'],
  synced: ['good', 'Synced'],
  failed: ['bad', 'Sync failed'],
})

const VERIFICATION_WORDS: Readonly<Record<VerificationState, readonly [Tone, string]>> = Object.freeze({
  pending: ['warn', 'Verification pending'],
  started: ['busy', 'Verifying'],
  succeeded: ['good', 'Verified'],
  failed: ['bad', 'Verification failed'],
  disabled: ['off', 'Verification disabled'],
})

export const SYNC_TITLES: Readonly<Record<SyncState, string>> = Object.freeze({
  pending: 'Pending',
  started: 'Started',
  synced: 'Synced',
  failed: 'Failed',
})

export const VERIFICATION_TITLES: Readonly<Record<VerificationState, string>> = Object.freeze({
  pending: 'Pending',
  started: 'Started',
  succeeded: 'Succeeded',
  failed: 'Failed',
  disabled: 'Disabled',
})

export const syncBadge = (state: SyncState): SafeHtml => badge(...SYNC_WORDS[state])
export const verificationBadge = (state: VerificationState): SafeHtml => badge(...VERIFICATION_WORDS[state])
