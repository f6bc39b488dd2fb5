// Asks GitHub for the job's identity: a JWT in which it says who the job is, for one audience.
import { ask, MayPass } from './ask.mjs'

const { env } = process

export async function identity(audience) {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: at, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = env
  if (!at || !bearer)
    throw new Error(
      'GitHub gives this job no identity. Add "permissions: { id-token: write }" to the job or the workflow; a job for a pull request from a fork never gets one.',
    )
  const url = new URL(at)
  url.searchParams.set('audience', audience)
  const { status, body } = await ask('GitHub', url, { headers: { authorization: `Bearer ${bearer}` } })
  if (typeof body?.value === 'string' && /^[\w-]+(\.[\w-]+){2}$/.test(body.value)) return body.value
  const what = `GitHub gives this job no identity: it answered ${status}.`
  throw status === 429 || status >= 500 ? new MayPass(what) : new Error(what)
}
