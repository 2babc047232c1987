// What is declared here, empty, is set by a variable at run time.
export default defineNuxtConfig({
  compatibilityDate: '2026-01-01',
  modules: ['nuxt-oidc-auth'],
  runtimeConfig: {
    apiBase: '',
    public: { authUrl: '', mailUrl: '', operatorUrl: '', portalUrl: '' },
  },
  oidc: {
    providers: {
      oidc: {
        additionalLogoutParameters: {},
        audience: '',
        authorizationUrl: '',
        clientId: '',
        clientSecret: '',
        exposeIdToken: false,
        logoutRedirectParameterName: '',
        logoutRedirectUri: '',
        logoutUrl: '',
        openIdConfiguration: '',
        redirectUri: '',
        scope: [],
        tokenUrl: '',
        userInfoUrl: '',
      },
    },
  },
})
