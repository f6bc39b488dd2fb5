// Checks of the Latchkey that the other commands talk to: that it is one and serves, and that it takes the credential.
import { version } from '../../version.ts'
import { Failure } from '../failure.ts'
import { instant } from '../people.ts'
import { refused } from '../remote.ts'
import { clientOf, howToSignIn, openSession, type Session, type SessionOptions } from '../session.ts'
import type { Token } from '../token/view.ts'
import { type Check, fail, ok, reasonOf, warn } from './check.ts'
import { lookAt } from './server.ts'

/** Nothing when nobody has said where it is: then there is nothing but this machine to look at. */
export async function checkSession(options: SessionOptions): Promise<Check[]> {
  let session: Session
  try {
    session = await openSession(options)
    if (session.urlFrom === 'default' && session.credential === null) return []
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return [fail('credential', error.message, error.whatToDo)]
  }
  const server = await checkServer(session)
  return server.status === 'fail' ? [server] : [server, await checkCredential(session)]
}

async function checkServer(session: Session): Promise<Check> {
  const { url, urlFrom } = session
  const seen = await lookAt(clientOf({ ...session, credential: null }))
  if (seen.kind === 'nobody')
    return fail('server', seen.reason, 'Check LATCHKEY_URL or --url, and whether Latchkey runs there.')
  if (seen.kind === 'something else')
    return fail('server', `What answers at ${url} is no Latchkey.`, 'Check LATCHKEY_URL or --url.')
  if (seen.kind === 'not ready')
    return fail('server', `${url} is not ready: ${seen.reason}.`, 'Its log says more.')
  const message = `Latchkey ${seen.version} serves at ${url} (${urlFrom}).`
  if (seen.version === version) return ok('server', message)
  return warn('server', message, `This command line is ${version}: use the same version.`)
}

async function checkCredential(session: Session): Promise<Check> {
  const { url, credential } = session
  if (credential === null) return warn('credential', `Not signed in to ${url}.`, howToSignIn())
  try {
    const { body: token } = await clientOf(session).call<Token>('GET', '/api/v1/tokens/self')
    const end = token.expireAt === null ? 'it does not end' : `it ends ${instant(token.expireAt, '')}`
    return ok('credential', `${token.id} (${token.name}) from ${credential.source} is good; ${end}.`)
  } catch (error) {
    const told = refused(error, session)
    return fail('credential', reasonOf(told), told instanceof Failure ? told.whatToDo : null)
  }
}
