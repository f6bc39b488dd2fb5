// Asks GitHub for the identity of the job that we run in: a JWT for one audience.
import { LatchkeyError } from '@latchkey/sdk/client'
import { connect } from '../connect.ts'
import { Failure } from '../failure.ts'
import { shell } from '../shell.ts'
import { mask } from './mask.ts'

/** We are in a job of GitHub Actions, whether or not it may ask. */
export const inGithubActions = (): boolean => shell.githubActions || shell.identityUrl !== undefined

/** @throws Failure */
export async function githubIdentity(audience: string): Promise<string> {
  const { identityUrl, identityBearer } = shell
  if (identityUrl === undefined || identityBearer === undefined)
    throw new Failure(
      'forbidden',
      'no-identity',
      'GitHub gives this job no identity.',
      'Add "permissions: { id-token: write }" to the job; one for a pull request from a fork never gets one.',
    )
  const { origin, pathname, search } = new URL(identityUrl)
  const github = connect({ url: origin, token: identityBearer })
  const { body } = await github
    .call<{ value?: unknown }>('GET', pathname + search, { query: { audience } })
    .catch((error) => {
      throw error instanceof LatchkeyError ? refused(error) : error
    })
  if (typeof body?.value !== 'string') throw new Failure('failed', 'no-identity', notAsExpected, '')
  mask(body.value)
  return body.value
}

const notAsExpected = 'GitHub gives this job no identity: its answer is not as expected.'

function refused({ status, message }: LatchkeyError): Failure {
  const mayPass = status === 0 || status === 429 || status >= 500
  const said = status === 0 ? message : `it answered ${status}.`
  return new Failure(
    mayPass ? 'tryAgain' : 'forbidden',
    'no-identity',
    `GitHub gives this job no identity: ${said}`,
    mayPass ? 'Try again.' : 'A job may ask for a few minutes more than it runs, and not from elsewhere.',
  )
}
