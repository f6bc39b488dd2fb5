// Where OAuth's endpoints are mounted: they take forms, which they read themselves, and refuse in OAuth's own words.
import type { App } from '../http/server.ts'
import { sendOAuthError } from './oauth-error.ts'

export function oauthDoor(root: App, mount: (app: App) => void): void {
  root.register(async (scoped) => {
    const app = scoped as unknown as App
    app.removeAllContentTypeParsers()
    app.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string' },
      (_request, body, done) => done(null, body),
    )
    app.setErrorHandler(sendOAuthError)
    app.setValidatorCompiler(() => () => true)
    mount(app)
  })
}
