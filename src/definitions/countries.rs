//! ISO 3166-1: which codes name countries, and which are kept for other ends or were given up.

use super::computed::Judgement;

/// What is officially assigned, in two letters, three letters and three digits.
#[rustfmt::skip]
const ASSIGNED: [&str; 249] = [
    "ADAND020", "AEARE784", "AFAFG004", "AGATG028", "AIAIA660", "ALALB008", "AMARM051", "AOAGO024", "AQATA010", "ARARG032", "ASASM016",
    "ATAUT040", "AUAUS036", "AWABW533", "AXALA248", "AZAZE031", "BABIH070", "BBBRB052", "BDBGD050", "BEBEL056", "BFBFA854", "BGBGR100",
    "BHBHR048", "BIBDI108", "BJBEN204", "BLBLM652", "BMBMU060", "BNBRN096", "BOBOL068", "BQBES535", "BRBRA076", "BSBHS044", "BTBTN064",
    "BVBVT074", "BWBWA072", "BYBLR112", "BZBLZ084", "CACAN124", "CCCCK166", "CDCOD180", "CFCAF140", "CGCOG178", "CHCHE756", "CICIV384",
    "CKCOK184", "CLCHL152", "CMCMR120", "CNCHN156", "COCOL170", "CRCRI188", "CUCUB192", "CVCPV132", "CWCUW531", "CXCXR162", "CYCYP196",
    "CZCZE203", "DEDEU276", "DJDJI262", "DKDNK208", "DMDMA212", "DODOM214", "DZDZA012", "ECECU218", "EEEST233", "EGEGY818", "EHESH732",
    "ERERI232", "ESESP724", "ETETH231", "FIFIN246", "FJFJI242", "FKFLK238", "FMFSM583", "FOFRO234", "FRFRA250", "GAGAB266", "GBGBR826",
    "GDGRD308", "GEGEO268", "GFGUF254", "GGGGY831", "GHGHA288", "GIGIB292", "GLGRL304", "GMGMB270", "GNGIN324", "GPGLP312", "GQGNQ226",
    "GRGRC300", "GSSGS239", "GTGTM320", "GUGUM316", "GWGNB624", "GYGUY328", "HKHKG344", "HMHMD334", "HNHND340", "HRHRV191", "HTHTI332",
    "HUHUN348", "IDIDN360", "IEIRL372", "ILISR376", "IMIMN833", "ININD356", "IOIOT086", "IQIRQ368", "IRIRN364", "ISISL352", "ITITA380",
    "JEJEY832", "JMJAM388", "JOJOR400", "JPJPN392", "KEKEN404", "KGKGZ417", "KHKHM116", "KIKIR296", "KMCOM174", "KNKNA659", "KPPRK408",
    "KRKOR410", "KWKWT414", "KYCYM136", "KZKAZ398", "LALAO418", "LBLBN422", "LCLCA662", "LILIE438", "LKLKA144", "LRLBR430", "LSLSO426",
    "LTLTU440", "LULUX442", "LVLVA428", "LYLBY434", "MAMAR504", "MCMCO492", "MDMDA498", "MEMNE499", "MFMAF663", "MGMDG450", "MHMHL584",
    "MKMKD807", "MLMLI466", "MMMMR104", "MNMNG496", "MOMAC446", "MPMNP580", "MQMTQ474", "MRMRT478", "MSMSR500", "MTMLT470", "MUMUS480",
    "MVMDV462", "MWMWI454", "MXMEX484", "MYMYS458", "MZMOZ508", "NANAM516", "NCNCL540", "NENER562", "NFNFK574", "NGNGA566", "NINIC558",
    "NLNLD528", "NONOR578", "NPNPL524", "NRNRU520", "NUNIU570", "NZNZL554", "OMOMN512", "PAPAN591", "PEPER604", "PFPYF258", "PGPNG598",
    "PHPHL608", "PKPAK586", "PLPOL616", "PMSPM666", "PNPCN612", "PRPRI630", "PSPSE275", "PTPRT620", "PWPLW585", "PYPRY600", "QAQAT634",
    "REREU638", "ROROU642", "RSSRB688", "RURUS643", "RWRWA646", "SASAU682", "SBSLB090", "SCSYC690", "SDSDN729", "SESWE752", "SGSGP702",
    "SHSHN654", "SISVN705", "SJSJM744", "SKSVK703", "SLSLE694", "SMSMR674", "SNSEN686", "SOSOM706", "SRSUR740", "SSSSD728", "STSTP678",
    "SVSLV222", "SXSXM534", "SYSYR760", "SZSWZ748", "TCTCA796", "TDTCD148", "TFATF260", "TGTGO768", "THTHA764", "TJTJK762", "TKTKL772",
    "TLTLS626", "TMTKM795", "TNTUN788", "TOTON776", "TRTUR792", "TTTTO780", "TVTUV798", "TWTWN158", "TZTZA834", "UAUKR804", "UGUGA800",
    "UMUMI581", "USUSA840", "UYURY858", "UZUZB860", "VAVAT336", "VCVCT670", "VEVEN862", "VGVGB092", "VIVIR850", "VNVNM704", "VUVUT548",
    "WFWLF876", "WSWSM882", "YEYEM887", "YTMYT175", "ZAZAF710", "ZMZMB894", "ZWZWE716",
];

/// What once named a country (ISO 3166-3), or is reserved because others use it so: there may be data with it.
#[rustfmt::skip]
const FORMER_OR_RESERVED: [&str; 87] = [
    "128", "200", "216", "249", "278", "396", "488", "530", "536", "582", "720", "810", "849", "872", "891", "AC", "AFI", "AN",
    "ANT", "ASC", "ATB", "ATN", "BU", "BUR", "BYS", "CP", "CPT", "CQ", "CS", "CSK", "CT", "CTE", "DD", "DDR", "DG", "DGA",
    "DHY", "DY", "EA", "EU", "EUE", "EZ", "FQ", "FX", "FXX", "GEL", "HV", "HVO", "IC", "JT", "JTN", "MI", "MID", "NH",
    "NHB", "NQ", "NT", "NTZ", "PC", "PCI", "PCZ", "PU", "PUS", "PZ", "RH", "RHO", "SCG", "SKM", "SU", "SUN", "TA", "TAA",
    "TMP", "TP", "UK", "UN", "UNO", "VD", "VDR", "WAK", "WK", "YD", "YMD", "YU", "YUG", "ZAR", "ZR",
];

/// Whether a code is one of a country. One that was, or that users may give a meaning of their own, is neither right nor wrong.
pub fn judge(code: &str) -> Judgement {
    let place = match code.len() {
        2 => 0..2,
        3 if code.starts_with(|first: char| first.is_ascii_digit()) => 5..8,
        3 => 2..5,
        _ => return Judgement::Invalid,
    };
    if ASSIGNED.iter().any(|row| row.get(place.clone()) == Some(code)) {
        Judgement::Valid
    } else if FORMER_OR_RESERVED.contains(&code) || is_for_users(code) {
        Judgement::Unknown
    } else {
        Judgement::Invalid
    }
}

/// The ranges that ISO 3166-1 leaves to its users (§8.1.3).
fn is_for_users(code: &str) -> bool {
    let is_form = code.bytes().all(|byte| byte.is_ascii_uppercase()) || code.bytes().all(|byte| byte.is_ascii_digit());
    let start = code.get(..2).unwrap_or_default();
    let is_range = start == "AA" || start == "ZZ" || ("QM"..="QZ").contains(&start) || ("XA"..="XZ").contains(&start);
    is_form && (is_range || code.len() == 3 && code.starts_with('9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries() {
        for (judgement, codes) in [
            (Judgement::Valid, &["US", "USA", "840", "004", "SS", "SSD", "ZWE", "ZW", "716"][..]),
            (Judgement::Unknown, &["AN", "ANT", "530", "UK", "EU", "XK", "XKX", "ZZ", "QMA", "999"]),
            (Judgement::Invalid, &["us", "U", "USAA", "UX", "USB", "841", "000", "U1", "8A0", "", "AA1", "é", "9A"]),
        ] {
            for code in codes {
                assert_eq!(judge(code), judgement, "{code}");
            }
        }
        assert!(ASSIGNED.iter().all(|row| row.len() == 8));
    }
}
